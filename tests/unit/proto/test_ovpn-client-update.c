/* PUSH_UPDATE to a whole client: one report, data flows on, what cannot be is a new connection. */
#include "ovpn-world.h"

#include <string.h>

static struct world w;

static void make(void)
{
	world_init(&w);
	w.peer.push = WORLD_PUSH ",route 192.168.1.0 255.255.255.0";
}

static void drop(void)
{
	world_done(&w);
}

TestSuite(ovpn_client_update, .init = make, .fini = drop, .timeout = 60);

static void say(const char *text)
{
	peer_say(w.sim.peer, text);
	(void)sim_run(&w.sim, 2 * USEC_PER_SEC, NULL);
}

static void fails(const char *text, const char *part)
{
	say(text);
	cr_assert_eq(w.sim.n_failed, 1);
	cr_assert_eq(w.sim.n_settings, 1);
	cr_assert_eq(w.sim.failed.fail, FAIL_SERVER);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_SAME);
	cr_assert(strstr(w.sim.failed.text, part), "%s", w.sim.failed.text);
}

Test(ovpn_client_update, changes_the_settings_once)
{
	uint32_t mtu;

	world_up(&w, 1);
	mtu = w.sim.settings.settings.mtu;
	cr_assert_eq(w.sim.settings.settings.n_routes, 1);
	say("PUSH_UPDATE,route 10.1.0.0 255.255.0.0,route 10.2.0.0 255.255.0.0,push-continuation 2");
	cr_assert_eq(w.sim.n_settings, 1); /* nothing before the last part */
	say("PUSH_UPDATE,dhcp-option DNS 10.8.0.1,push-continuation 1");
	cr_assert_eq(w.sim.n_settings, 2, "%s", w.sim.infos);
	cr_assert_eq(w.sim.settings.settings.n_routes, 2);
	cr_assert_eq(w.sim.settings.settings.n_dns, 1);
	cr_assert_eq(w.sim.settings.settings.mtu, mtu);
	world_exchange(&w, 3, USEC_PER_SEC);
	say("PUSH_UPDATE,dhcp-option DNS 10.8.0.1"); /* nothing new */
	cr_assert_eq(w.sim.n_settings, 2);
	cr_assert_eq(w.sim.n_failed, 0);
}

Test(ovpn_client_update, data_flows_while_it_is_applied_and_two_are_one_after_the_other)
{
	world_up(&w, 1);
	w.sim.hold_settings = true;
	say("PUSH_UPDATE,-route");
	cr_assert_eq(w.sim.n_settings, 2);
	world_exchange(&w, 3, USEC_PER_SEC);
	say("PUSH_UPDATE,route 10.1.0.0 255.255.0.0");
	say("PUSH_UPDATE,tun-mtu 1300");
	cr_assert_eq(w.sim.n_settings, 2); /* the first is not answered yet */
	w.sim.client->ops->settings_applied(w.sim.client, true, w.sim.now);
	w.sim.hold_settings = false;
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_settings, 3);
	cr_assert_eq(w.sim.settings.settings.n_routes, 1);
	cr_assert_eq(w.sim.settings.settings.mtu, 1300);
	world_exchange(&w, 3, USEC_PER_SEC);
}

Test(ovpn_client_update, before_the_settings_are_applied_it_waits_for_them)
{
	world_start(&w, 1);
	w.sim.hold_settings = true;
	cr_assert(sim_run(&w.sim, 60 * USEC_PER_SEC, sim_is_up));
	say("PUSH_UPDATE,-route");
	cr_assert_eq(w.sim.n_settings, 1);
	w.sim.hold_settings = false;
	w.sim.client->ops->settings_applied(w.sim.client, true, w.sim.now);
	(void)sim_run(&w.sim, USEC_PER_SEC, NULL);
	cr_assert_eq(w.sim.n_settings, 2);
	cr_assert_eq(w.sim.settings.settings.n_routes, 0);
	world_exchange(&w, 3, USEC_PER_SEC);
}

Test(ovpn_client_update, keepalive_changes_and_comes_back)
{
	world_up(&w, 1); /* ping 10, ping-restart 60 */
	say("PUSH_UPDATE,keepalive 100 1000");
	w.sim.cut = true;
	cr_assert_not(sim_run(&w.sim, 900 * USEC_PER_SEC, sim_has_failed));
	w.sim.cut = false;
	say("PUSH_UPDATE,-keepalive");
	cr_assert_eq(w.sim.n_settings, 1); /* none of the helper's business */
	w.sim.cut = true;
	cr_assert(sim_run(&w.sim, 70 * USEC_PER_SEC, sim_has_failed));
}

Test(ovpn_client_update, a_refusal_by_the_helper_ends_the_session)
{
	world_up(&w, 1);
	w.sim.refuse_settings = true;
	say("PUSH_UPDATE,-route");
	cr_assert_eq(w.sim.n_failed, 1);
	cr_assert_eq(w.sim.failed.advice, PROTO_ADVICE_RETRY);
}

Test(ovpn_client_update, what_cannot_be_changed_is_a_new_connection)
{
	world_up(&w, 1);
	fails("PUSH_UPDATE,cipher AES-128-GCM", "cipher");
}

Test(ovpn_client_update, larger_packets_than_the_buffers_are_a_new_connection)
{
	w.peer.push = WORLD_PUSH ",comp-lzo no";
	world_up(&w, 1);
	fails("PUSH_UPDATE,tun-mtu 9000", "larger");
}

Test(ovpn_client_update, optional_things_are_left_out)
{
	world_up(&w, 1);
	say("PUSH_UPDATE,?cipher AES-128-GCM,?auth-token s3cret,-route");
	cr_assert_eq(w.sim.n_failed, 0);
	cr_assert_eq(w.sim.n_settings, 2);
	cr_assert(strstr(w.sim.infos, "cipher"));
	cr_assert_null(strstr(w.sim.infos, "s3cret"));
}

Test(ovpn_client_update, a_profile_without_pull_takes_none)
{
	w.o->pull = false;
	cr_assert_eq(inaddr_parse("10.8.0.2", &w.o->ifconfig4.addr), 0);
	w.o->ifconfig4.len = 24;
	w.peer.no_cipher = true;
	w.peer.data_v1 = true;
	w.o->cipher_fallback = (char *)"AES-256-GCM";
	world_up(&w, 1);
	say("PUSH_UPDATE,route 10.1.0.0 255.255.0.0");
	cr_assert_eq(w.sim.n_settings, 1);
	cr_assert_eq(w.sim.n_failed, 0);
}
