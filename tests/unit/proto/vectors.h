/*
 * Packets and keys of OpenVPN's own tests, as hex.
 * Origin: OpenVPN, tests/unit_tests/openvpn/test_pkt.c at commit 0942e157 (constants only).
 */
#pragma once

/* The static key of test_pkt.c: tls-auth and tls-crypt. */
#define VECTOR_STATIC_KEY                                                                                              \
	"37268ea8f95d7f71f9fb8fc03770c460daf714a483d815c013ce0a537efc18f2"                                             \
	"8f4f172669d9e6a413bac6741d8ea05400f49b7fd6326470f23798c606bf53d4"                                             \
	"de63ebc64ec59d57ce5d04d5b62e68b53ca6e5354351097fa370446c4d269f18"                                             \
	"7bb6ae54af2dc70ff7317fe2f8754b8282aad4202f9fa42c8640245d883e2c54"                                             \
	"a0c1c489a036cf3a8964d8d289c1583b9447c262b1da5fd167a5d27bd5ac5143"                                             \
	"17bc2343a31a2efc38dd920d910375f51c2e27f3afd36c49269da079f7ce466e"                                             \
	"bb0f9ad13e9bbb4665974e6bc24b513c5700393bf4a3e7f967e2f384069ac8a8"                                             \
	"e78b18b15604993fd16515cce9c0f3e42b4126b999005ade802797b0eeb8b9e6"

/* HARD_RESET_CLIENT_V2, msgid 0. */
#define VECTOR_RESET_NONE "386891923fa3103437 00 00000000"

/* The same with tls-auth, SHA1, keys[1]: replay id 1, time 1641267052. */
#define VECTOR_RESET_TLS_AUTH                                                                                          \
	"38de694c5c7bfba274 93537c1ded4e781529ae7cfe4b8c6d6b2b51f05a 00000001 61d3bf6c 00 00000000"

/* The same with tls-crypt, keys[1]: replay id 1, time 1641281761; the plain rest is five zero bytes. */
#define VECTOR_RESET_TLS_CRYPT                                                                                         \
	"38f419cb12d1f9e48f 00000001 61d3f8e1 330206f56802be44fbed905064e3db43416bec5e526719462b7eb90c96defc9b 05c44879f7"

/* CONTROL_V1 with tls-auth (SHA1, keys[1]): replay id 3, msgid 1, a ClientHello. */
#define VECTOR_CONTROL_TLS_AUTH                                                                                        \
	"2014014ebc80c6142b 7bc876fbc52e27b1c507355bb6006bae71ba4e38 00000003 61d3ff53 00 00000001"                    \
	"160301010c010001080303 8caaac3a1a07bde7b750069b940c344b5a35cac479bdc909b07bd9eebb7de725"                      \
	"203938e2183336149f34f04459968d0ed24776648859e9380397969845fbf5ff23"                                           \
	"0032130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039c009c013003300ff"      \
	"0100008d000b000403000102000a000c000a001d0017001e00190018001600000017000000"                                   \
	"0d0030002e040305030603080708080809080a080b080408050806040105010601030302030301020103020202040205020602"        \
	"002b00050403040303002d00020101003300260024001d0020"                                                           \
	"0ec97aff58db56f640d1eddb9181d6ef83868ab23d88923fd8519cd62656336b"

/* CONTROL_V1 with one ack, cut behind three bytes of payload. */
#define VECTOR_CONTROL_ACK "207819bf2ebcd19a45 01 00000000 eafebfa4418ae31b 00000001 160301"

/* ACK_V1 of msgid 0. */
#define VECTOR_ACK "28aeb9afe1f01d79c8 01 00000000 dd85db535623b02e"
