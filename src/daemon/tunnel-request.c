/*
 * Callers who want a tunnel up or down, and wait for it. An `up` is answered when the tunnel is connecting, a `down` when
 * the programs inside are the only thing left; an `up` during a `down` waits for its end.
 */
#include "daemon/tunnel-request.h"

#include "base/bus-api.h"
#include "base/fd.h"
#include "base/str.h"
#include "daemon/tunnel-inputs.h"

struct request {
	struct request *next;
	tunnel_reply_fn fn;
	void *userdata;
	struct up_options options; /* ups: auth_fd owned */
};

static struct request *request_free(struct request *q)
{
	if (q) {
		fd_close(q->options.auth_fd);
		free(q);
	}
	return NULL;
}

static int request_add(struct request **list, tunnel_reply_fn fn, void *userdata, const struct up_options *options)
{
	struct request *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->fn = fn;
	q->userdata = userdata;
	q->options.auth_fd = -EBADF;
	if (options) {
		q->options = *options;
		q->options.auth_fd = options->auth_fd < 0 ? -EBADF : fd_dup(options->auth_fd);
	}
	while (*list)
		list = &(*list)->next;
	*list = q;
	return 0;
}

void tunnel_end_requests(struct tunnel *t)
{
	struct request *q;

	while ((q = t->downs)) {
		t->downs = q->next;
		q->fn(q->userdata, t, BUS_ERROR_FAILED, "the helper is ending");
		request_free(q);
	}
	while ((q = t->ups)) {
		t->ups = q->next;
		q->fn(q->userdata, t, BUS_ERROR_FAILED, "the helper is ending");
		request_free(q);
	}
}

/* ---- up ------------------------------------------------------------------------------------------------------------- */

static int save_intent(struct tunnel *t, char **ret_error)
{
	struct intent i = { .want_up = true, .uplink = t->uplink };

	memcpy(i.boot_id, t->manager->boot_id, sizeof(i.boot_id));
	return store_save(t->name, &i, ret_error);
}

void tunnel_up(struct tunnel *t, const struct up_options *options, tunnel_reply_fn fn, void *userdata)
{
	const char *error_name = BUS_ERROR_FAILED;
	_cleanup_(freep) char *error = NULL;
	enum tunnel_action action;
	int r;

	action = tunnel_state_next(t->state, TUNNEL_EVENT_UP).action;
	if (action == TUNNEL_ACTION_NONE) {
		fn(userdata, t, NULL, NULL);
		return;
	}
	if (action == TUNNEL_ACTION_QUEUE) {
		if (request_add(&t->ups, fn, userdata, options) < 0)
			fn(userdata, t, BUS_ERROR_FAILED, "no memory");
		return;
	}
	if (action != TUNNEL_ACTION_PREPARE || t->manager->shutting_down) {
		fn(userdata, t, BUS_ERROR_FAILED, "the helper is busy with this tunnel; try again in a moment");
		return;
	}
	r = tunnel_load_inputs(t, options, &error_name, &error);
	if (r >= 0)
		r = save_intent(t, &error);
	if (r < 0) {
		fn(userdata, t, error_name, error ? error : strerror(-r));
		return;
	}
	tunnel_set_error(t, NULL, NULL);
	t->recovering = false;
	(void)tunnel_event(t, TUNNEL_EVENT_UP, "up");
	if (t->state == TUNNEL_STATE_FAILED)
		fn(userdata, t, t->last_error_name ? t->last_error_name : BUS_ERROR_FAILED,
		   t->last_error ? t->last_error : "the tunnel cannot be prepared");
	else
		fn(userdata, t, NULL, NULL);
}

void tunnel_answer_ups(struct tunnel *t)
{
	struct request *list = TAKE_PTR(t->ups);

	while (list) {
		struct request *q = list;

		list = q->next;
		tunnel_up(t, &q->options, q->fn, q->userdata);
		request_free(q);
	}
}

/* ---- down ----------------------------------------------------------------------------------------------------------- */

void tunnel_down(struct tunnel *t, uid_t killer, tunnel_reply_fn fn, void *userdata)
{
	if (t->state == TUNNEL_STATE_DOWN && !t->in_kernel) {
		fn(userdata, t, NULL, NULL);
		return;
	}
	if (request_add(&t->downs, fn, userdata, NULL) < 0) {
		fn(userdata, t, BUS_ERROR_FAILED, "no memory");
		return;
	}
	if (killer != TUNNEL_KILL_NOBODY) {
		t->killer = t->kill && t->killer == 0 ? 0 : killer;
		t->kill = true;
	}
	if (!tunnel_event(t, TUNNEL_EVENT_DOWN, "down"))
		tunnel_answer_downs(t, BUS_ERROR_FAILED, "the tunnel is being prepared");
}

void tunnel_answer_downs(struct tunnel *t, const char *error_name, const char *error)
{
	struct request *list = TAKE_PTR(t->downs);

	t->kill = false;
	while (list) {
		struct request *q = list;

		list = q->next;
		q->fn(q->userdata, t, error_name, error);
		request_free(q);
	}
}
