/*
 * Point to point over TLS.
 *
 * Theory. Both sides have sent their IV_* lines in key method 2, and each computes the same result from the two lists: the
 * first cipher of the TLS server's list that the client has, and those features of IV_PROTO that both know. The peer id is
 * the one number that neither may choose alone; it comes out of the TLS session. Without NCP_P2P in the other side's lines
 * (OpenVPN before 2.6) there is only the cipher, and everything else is as it was before there were such lines.
 */
#include "proto/ovpn-p2p.h"

#include "base/parse.h"
#include "base/str.h"

#define PEER_ID_LABEL "EXPORTER-OpenVPN-p2p-peerid"
#define PEER_ID_PLAIN 0x76706eu /* where keys do not come out of the TLS session either */

static uint64_t proto_bits(const char *info)
{
	char text[24];
	uint64_t bits;

	if (ovpn_peerinfo_get(info, "IV_PROTO", text, sizeof(text)) < 0 || parse_u64(text, 0, UINT32_MAX, &bits) < 0)
		return 0;
	return bits;
}

static uint32_t make_peer_id(struct tls *tls)
{
	uint8_t id[3];

	return tls_export(tls, PEER_ID_LABEL, id, sizeof(id)) < 0 ? PEER_ID_PLAIN :
								   (uint32_t)id[0] << 16 | (uint32_t)id[1] << 8 | id[2];
}

void ovpn_p2p_agree(const struct ovpn_session *s, struct ovpn_push *push)
{
	const struct ovpn_cipher *cipher = NULL;
	const char *info = s->primary->server_info;
	char ciphers[OVPN_PEERINFO_MAX];
	uint64_t bits = proto_bits(info) & OVPN_IV_PROTO_P2P;

	if (ovpn_peerinfo_get(info, "IV_CIPHERS", ciphers, sizeof(ciphers)) == 0)
		cipher = ovpn_peerinfo_first_common(ciphers, s->p.options->ciphers);
	if (cipher)
		(void)str_copy(push->cipher, sizeof(push->cipher), cipher->name); /* names of our own table are short */
	if (!(bits & OVPN_IV_PROTO_NCP_P2P))
		return;
	push->tls_ekm = bits & OVPN_IV_PROTO_TLS_KEY_EXPORT;
	push->cc_exit = bits & OVPN_IV_PROTO_CC_EXIT_NOTIFY;
	push->dyn_tls_crypt = bits & OVPN_IV_PROTO_DYN_TLS_CRYPT;
	push->epoch = (bits & OVPN_IV_PROTO_DATA_EPOCH) && cipher && cipher->aead;
	if (bits & OVPN_IV_PROTO_DATA_V2)
		push->peer_id = push->tls_ekm ? make_peer_id(s->primary->tls) : PEER_ID_PLAIN;
}
