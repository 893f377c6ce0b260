/*
 * Questions that an OpenVPN server or profile asks of the person who logs in: the one-time code of a profile
 * (static-challenge), the server's question after a refusal (AUTH_FAILED,CRV1), and what it wants while a login is pending
 * (CR_TEXT, WEB_AUTH, OPEN_URL). Texts and forms only; protocol.md 1.13, OpenVPN's management-notes.txt.
 */
#pragma once

#include "base/secret.h"
#include "proto/proto.h"

/* Longest answer of a person, without its NUL. */
#define OVPN_ANSWER_MAX 512

/*
 * The password of a login with a one-time code: "SCRV1:" and both in base64, or both one after the other. 0, -ENOMEM, -EINVAL
 * for an answer that is too long.
 */
int ovpn_login_static(const struct secret *password, const struct secret *answer, bool concat, struct secret **ret);

/* "flags:state:user in base64:question", behind "CRV1:". 0, -ENOMEM, or -EBADMSG when it is none. *ret: proto_challenge_done(). */
int ovpn_login_crv1(const char *text, struct proto_challenge *ret);

struct ovpn_login_request {
	enum proto_question question;
	char text[PROTO_TEXT_MAX]; /* the question, or an address that begins with https:// */
};
/* The text of an INFO_PRE or INFO message. False: it asks nothing, or in a form that nobody should follow. */
bool ovpn_login_request(const char *text, struct ovpn_login_request *ret);

/* "CR_RESPONSE," and the answer in base64; malloc'ed, NULL without memory. To be wiped. */
char *ovpn_login_response(const struct secret *answer);
