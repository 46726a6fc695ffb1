// SPDX-License-Identifier: MIT
/*
 * How much work gets done when 1, 2 and 4 clients together need 0.5 … 3 times the VRAM.
 *
 * A client is a process. Its working set consists of chunks of 1 MiB: four BOs that only VRAM of GPU 0 may hold, imported
 * by GPU 1 and bound there in a VM of their own, since all that is bound in a VM has to be resident at once. A unit of
 * work is one job on one chunk: check what the last one left, fill, copy, add, copy. Chunks are used in random order, one
 * at a time, each as likely as any other, so that no strategy that doesn't know the future finds more of them in VRAM than
 * fit: of W bytes, used through V bytes of VRAM, 1 - V / W have to be brought in, and as much has to go out.
 *
 * The bound is the time that the work takes when everything fits, plus the time of a memcpy() of the bytes that have to
 * move. Both are measured by the same clients in turns with the work itself, in windows of less than a second, so that what
 * else the machine does meanwhile hits all three: work that fits is the same on all of the VRAM of GPU 2, imported by GPU 3, and
 * memcpy() goes over as much memory as the moves do, in pieces as large as theirs: in the processor's caches it is twice as
 * fast, but the moves' memory isn't there.
 *
 * In a window all clients work, from before it until after it, and a further process reads what each has done at its
 * beginning and at its end. So rates are of the same time for all, and whether clients get the same is a question of how
 * much they did in all windows of a kind together: in a single one it is whose turn on the processor it was.
 *
 * With pin_imports=1 VRAM can't be pinned for a peer, so there, and in the run that it is compared with, BOs may also be in
 * GTT, which is as large as VRAM.
 */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#define VRAM        (64 * MIB)
#define CHUNK       MIB
#define PARTS       4
#define PART        (CHUNK / PARTS)
#define LOADS       5
#define CLIENTS     3
#define MAX_CLIENTS 4
#define TURNS       10
#define TRIAL_TURNS 2
#define WINDOW_MS   400
#define LEAD_MS     20
#define COPIES      16

static const double loads[LOADS] = {0.5, 1, 1.5, 2, 3};
static const unsigned int clients_of[CLIENTS] = {1, 2, 4};

struct chunk {
	struct queue queue;
	struct drover_submission *work;
	struct drover_bo *bos[PARTS];
	struct drover_bo *imports[PARTS];
	/* what the last job filled in, from one value to the next, too */
	uint32_t value;
};

/* What clients do in turns. */
enum slice { SLICE_WORK, SLICE_FITTING, SLICE_COPY, SLICES };

/** struct outcome - of one client, written by it */
struct outcome {
	/** @error: of the set-up, or 0 */
	int error;
	/** @imported: bytes that could be imported */
	uint64_t imported;
	/** @units: done since it began, of whatever kind */
	uint64_t units;
};

/** struct window - what clients did between two instants */
struct window {
	double seconds;
	uint64_t units[MAX_CLIENTS];
	/** @moved: bytes that the exporter copied */
	uint64_t moved;
};

/** struct shared - what all processes of a run see */
struct shared {
	pthread_barrier_t barrier;
	/** @over: the window that the clients are working in */
	bool over;
	struct outcome outcomes[MAX_CLIENTS];
	/** @windows: written by the observer */
	struct window windows[SLICES][TURNS];
};

struct run {
	struct shared *shared;
	unsigned int clients;
	unsigned int turns;
	/* bytes that each client works on */
	uint64_t need;
	uint32_t placements;
	uint32_t seed;
};

/** struct set - the chunks of a client in one exporter's VRAM */
struct set {
	struct drover_device *exporter;
	struct drover_device *importer;
	struct chunk *chunks;
	uint32_t count;
};

struct client {
	const struct run *run;
	struct outcome *outcome;
	struct set sets[2];
	/* what is copied between: as large as the client's part of VRAM, and as what doesn't fit into it */
	uint8_t *inside;
	uint8_t *outside;
	uint32_t inside_parts;
	uint32_t outside_parts;
	uint64_t va;
	uint32_t random;
};

/** struct point - so many clients with so large working sets */
struct point {
	/* of all clients together, a sample per turn */
	struct samples work;
	struct samples bound;
	struct samples of_bound;
	struct samples moved_per_unit;
	/** @fairness: of what was done in all turns; also of the same clients when nothing moves, and when they only memcpy() */
	double fairness[SLICES];
	struct samples fairness_in_turn[SLICES];
};

struct results {
	struct point points[CLIENTS][LOADS];
};

/* Where it ended, if it couldn't be set up. */
struct trial {
	/* work as a part of work that fits */
	double of_fitting;
	uint64_t imported;
	int error;
};

/* ---- A client ---- */

static int import_part(struct client *client, struct set *set, struct chunk *chunk,
		       unsigned int part)
{
	int fd, ret;

	ret = drover_bo_create(set->exporter, PART, client->run->placements, 0, NULL,
			       &chunk->bos[part]);
	if (ret)
		return ret;
	check(drover_bo_export(chunk->bos[part], &fd), "exporting a BO");
	ret = drover_bo_import(set->importer, fd, &chunk->imports[part]);
	close(fd);
	if (ret)
		return ret;
	return drover_vm_bind(chunk->queue.vm, client->va + part * PART, chunk->imports[part], 0,
			      PART, 0);
}

static int chunk_create(struct client *client, struct set *set, struct chunk *chunk,
			uint64_t *imported)
{
	int ret;

	chunk->queue = queue_create(set->importer);
	check(drover_submission_create(chunk->queue.vm, &chunk->work), "creating a submission");
	for (unsigned int part = 0; part < PARTS; part++) {
		ret = import_part(client, set, chunk, part);
		if (ret)
			return ret;
		*imported += PART;
	}
	return 0;
}

static int set_create(struct client *client, struct set *set, unsigned int exporter, uint64_t need,
		      uint64_t *imported)
{
	int ret = 0;

	set->exporter = gpu_open(exporter);
	set->importer = gpu_open(exporter + 1);
	set->count = (uint32_t)(need / CHUNK);
	set->chunks = xcalloc(set->count, sizeof(*set->chunks));
	for (uint32_t i = 0; i < set->count && !ret; i++)
		ret = chunk_create(client, set, &set->chunks[i], imported);
	return ret;
}

static void chunk_use(struct client *client, struct chunk *chunk)
{
	uint64_t a = client->va, b = a + PART, c = b + PART, d = c + PART;
	struct drover_submission *work = chunk->work;

	drover_submission_reset(work);
	drover_submission_check(work, d, PART, 2 * chunk->value, 2 * chunk->value);
	chunk->value++;
	drover_submission_fill(work, a, PART, chunk->value, chunk->value);
	drover_submission_copy(work, b, a, PART);
	drover_submission_add(work, c, a, b, PART);
	drover_submission_copy(work, d, c, PART);
	drover_submission_signal(work, chunk->queue.sync, 0);
	submit_and_wait(work, chunk->queue.sync);
}

static uint32_t random_below(struct client *client, uint32_t count)
{
	client->random ^= client->random << 13;
	client->random ^= client->random >> 17;
	client->random ^= client->random << 5;
	return client->random % count;
}

/* One part out and one in, several times. */
static void copy_parts(struct client *client)
{
	uint8_t *inside, *outside;

	for (unsigned int i = 0; i < 2 * COPIES; i++) {
		inside = client->inside + random_below(client, client->inside_parts) * PART;
		outside = client->outside + random_below(client, client->outside_parts) * PART;
		memcpy(i % 2 ? inside : outside, i % 2 ? outside : inside, PART);
		/* as far as the compiler knows somebody looks */
		__asm__ volatile("" : : "r"(inside), "r"(outside) : "memory");
	}
}

static void do_unit(struct client *client, enum slice slice)
{
	struct set *set;

	if (slice == SLICE_COPY) {
		copy_parts(client);
		return;
	}
	set = &client->sets[slice];
	chunk_use(client, &set->chunks[random_below(client, set->count)]);
}

/* All clients do the same at the same time, for as long as the observer wants. */
static void do_slice(struct client *client, enum slice slice)
{
	struct shared *shared = client->run->shared;

	pthread_barrier_wait(&shared->barrier);
	while (!__atomic_load_n(&shared->over, __ATOMIC_RELAXED)) {
		do_unit(client, slice);
		__atomic_fetch_add(&client->outcome->units, 1, __ATOMIC_RELAXED);
	}
	pthread_barrier_wait(&shared->barrier);
}

static bool all_set_up(const struct run *run)
{
	for (unsigned int i = 0; i < run->clients; i++)
		if (run->shared->outcomes[i].error)
			return false;
	return true;
}

static uint8_t *used_memory(uint64_t size)
{
	uint8_t *memory = xcalloc(size, 1);

	memset(memory, 1, size);
	return memory;
}

static void client_set_up(struct client *client, const struct run *run)
{
	uint64_t share = VRAM / run->clients, fitting = 0;
	int ret;

	ret = set_create(client, &client->sets[SLICE_WORK], 0, run->need,
			 &client->outcome->imported);
	if (!ret)
		ret = set_create(client, &client->sets[SLICE_FITTING], 2, share, &fitting);
	client->outcome->error = ret;
	client->inside_parts = (uint32_t)(share / PART);
	client->outside_parts = (uint32_t)(run->need > share ? (run->need - share) / PART : PARTS);
	client->inside = used_memory(share);
	client->outside = used_memory((uint64_t)client->outside_parts * PART);
}

/* Its end closes its files, which gives everything back. */
static void client_main(const struct run *run, unsigned int index)
{
	struct client client = {
		.run = run,
		.outcome = &run->shared->outcomes[index],
		.va = 16 * MIB,
		.random = 2463534242U + run->seed * 40503U + index * 7919U,
	};

	client_set_up(&client, run);
	pthread_barrier_wait(&run->shared->barrier);
	if (!all_set_up(run))
		return;

	for (unsigned int i = 0; i < 2; i++)
		for (uint32_t j = 0; j < client.sets[i].count; j++)
			chunk_use(&client, &client.sets[i].chunks[j]);
	/* not counted */
	do_slice(&client, SLICE_WORK);
	for (unsigned int turn = 0; turn < run->turns; turn++)
		for (enum slice slice = 0; slice < SLICES; slice++)
			do_slice(&client, slice);
}

/* ---- The observer ---- */

/* Everything until now. */
static struct window instant(const struct run *run, struct drover_device *exporter)
{
	struct window at = {.moved = gpu_info(exporter).bytes_moved};

	at.seconds = (double)now_ns() / 1e9;
	for (unsigned int i = 0; i < run->clients; i++)
		at.units[i] = __atomic_load_n(&run->shared->outcomes[i].units, __ATOMIC_RELAXED);
	return at;
}

static struct window observe_slice(const struct run *run, struct drover_device *exporter)
{
	struct shared *shared = run->shared;
	struct window begin, end;

	__atomic_store_n(&shared->over, false, __ATOMIC_RELAXED);
	pthread_barrier_wait(&shared->barrier);
	/* What came before has left its traces in caches and in the scheduler. */
	sleep_ms(LEAD_MS);
	begin = instant(run, exporter);
	sleep_ms(WINDOW_MS);
	end = instant(run, exporter);
	__atomic_store_n(&shared->over, true, __ATOMIC_RELAXED);
	pthread_barrier_wait(&shared->barrier);

	end.seconds -= begin.seconds;
	end.moved -= begin.moved;
	for (unsigned int i = 0; i < run->clients; i++)
		end.units[i] -= begin.units[i];
	return end;
}

static void observer_main(const struct run *run)
{
	struct drover_device *exporter = gpu_open(0);

	pthread_barrier_wait(&run->shared->barrier);
	if (!all_set_up(run))
		return;
	observe_slice(run, exporter);
	for (unsigned int turn = 0; turn < run->turns; turn++)
		for (enum slice slice = 0; slice < SLICES; slice++)
			run->shared->windows[slice][turn] = observe_slice(run, exporter);
}

/* ---- A run ---- */

/* The last of them is the observer. */
static void wait_for_processes(const struct run *run, const pid_t *pids)
{
	int status;

	for (unsigned int left = run->clients + 1; left; left--) {
		if (waitpid(-1, &status, 0) < 0)
			die("waiting for a client: %s", strerror(errno));
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			continue;
		for (unsigned int i = 0; i <= run->clients; i++)
			kill(pids[i], SIGKILL);
		die("a client ended with status %#x", (unsigned int)status);
	}
}

static void wait_for_memory(unsigned int index)
{
	struct drover_device *dev = gpu_open(index);
	unsigned int waited = 0;

	while ((gpu_info(dev).vram_used || gpu_info(dev).gtt_used) && waited++ < 2000)
		sleep_ms(10);
	if (gpu_info(dev).vram_used || gpu_info(dev).gtt_used)
		die("memory of GPU %u is still in use after its clients ended", index);
	drover_device_close(dev);
}

static void run_clients(const struct run *run)
{
	pthread_barrierattr_t attr;
	pid_t pids[MAX_CLIENTS + 1];

	memset(run->shared, 0, sizeof(*run->shared));
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&run->shared->barrier, &attr, run->clients + 1);
	fflush(NULL);
	for (unsigned int i = 0; i <= run->clients; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("no process for a client: %s", strerror(errno));
		if (!pids[i]) {
			if (i < run->clients)
				client_main(run, i);
			else
				observer_main(run);
			_exit(0);
		}
	}
	wait_for_processes(run, pids);
	pthread_barrier_destroy(&run->shared->barrier);
	wait_for_memory(0);
	wait_for_memory(2);
}

static struct run run_make(struct shared *shared, size_t c, size_t l, uint32_t placements)
{
	struct run run = {
		.shared = shared,
		.clients = clients_of[c],
		.turns = TURNS,
		.need = (uint64_t)(loads[l] * (double)VRAM) / clients_of[c],
		.placements = placements,
		.seed = (uint32_t)(c * LOADS + l),
	};

	return run;
}

/* Units of all clients in one turn. */
static double unit_sum(const struct run *run, enum slice slice, unsigned int turn)
{
	double sum = 0;

	for (unsigned int i = 0; i < run->clients; i++)
		sum += (double)run->shared->windows[slice][turn].units[i];
	if (!sum)
		die("%u clients did nothing at all in a window of %d ms", run->clients, WINDOW_MS);
	return sum;
}

/* Units, or bytes copied, per second. */
static double rate_sum(const struct run *run, enum slice slice, unsigned int turn)
{
	double sum = unit_sum(run, slice, turn) / run->shared->windows[slice][turn].seconds;

	return slice == SLICE_COPY ? sum * (double)(2 * COPIES * PART) : sum;
}

/* What has to move per unit of work, out and in, whatever the strategy. */
static double moved_per_unit_at_least(double load)
{
	return load > 1 ? 2 * (double)CHUNK * (1 - 1 / load) : 0;
}

/* The slowest client's work of the fastest one's, in some turns together. */
static double fairness(const struct run *run, enum slice slice, unsigned int first,
		       unsigned int turns)
{
	double slowest = INFINITY, fastest = 0;

	for (unsigned int i = 0; i < run->clients; i++) {
		double units = 0;

		for (unsigned int turn = first; turn < first + turns; turn++)
			units += (double)run->shared->windows[slice][turn].units[i];
		slowest = fmin(slowest, units);
		fastest = fmax(fastest, units);
	}
	return slowest / fastest;
}

static void add_turn(struct point *point, const struct run *run, unsigned int turn, double load)
{
	double rate = rate_sum(run, SLICE_WORK, turn);
	double bound = 1 / (1 / rate_sum(run, SLICE_FITTING, turn) +
			    moved_per_unit_at_least(load) / rate_sum(run, SLICE_COPY, turn));

	samples_add(&point->work, rate);
	samples_add(&point->bound, bound);
	samples_add(&point->of_bound, rate / bound);
	samples_add(&point->moved_per_unit, (double)run->shared->windows[SLICE_WORK][turn].moved /
						    unit_sum(run, SLICE_WORK, turn));
	for (enum slice slice = 0; slice < SLICES; slice++)
		samples_add(&point->fairness_in_turn[slice], fairness(run, slice, turn, 1));
}

static void measure_point(struct point *point, const struct run *run, double load)
{
	const struct outcome *outcomes = run->shared->outcomes;

	run_clients(run);
	for (unsigned int i = 0; i < run->clients; i++)
		if (outcomes[i].error)
			die("%u clients with %g × VRAM: %s after %llu MiB", run->clients, load,
			    strerror(-outcomes[i].error),
			    (unsigned long long)(outcomes[i].imported / MIB));
	for (unsigned int turn = 0; turn < run->turns; turn++)
		add_turn(point, run, turn, load);
	for (enum slice slice = 0; slice < SLICES; slice++)
		point->fairness[slice] = fairness(run, slice, 0, run->turns);
}

static void measure_evicting(struct shared *shared, struct results *results)
{
	const char *const params[] = {"devices=4", "vram_mib=64", NULL};

	module_load(params);
	for (size_t c = 0; c < CLIENTS; c++) {
		for (size_t l = 0; l < LOADS; l++) {
			struct run run = run_make(shared, c, l, DRM_DROVER_PLACEMENT_VRAM);

			progress("%u clients, %g × VRAM", clients_of[c], loads[l]);
			measure_point(&results->points[c][l], &run, loads[l]);
		}
	}
	module_unload();
}

static double of_fitting(const struct run *run)
{
	struct samples parts = {0};
	double median;

	for (unsigned int turn = 0; turn < run->turns; turn++)
		samples_add(&parts,
			    rate_sum(run, SLICE_WORK, turn) / rate_sum(run, SLICE_FITTING, turn));
	median = samples_median(&parts);
	samples_free(&parts);
	return median;
}

/* Each once: either it fails or it doesn't. */
static void try_pinned(struct shared *shared, bool pin, struct trial trials[CLIENTS][LOADS])
{
	const char *const params[] = {"devices=4",        "vram_mib=64",
				      "gtt_mib=64",       pin ? "pin_imports=1" : "pin_imports=0",
				      "pin_limit_mib=64", NULL};
	const uint32_t both = DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT;

	progress("imports %s, BOs allowed in GTT, too", pin ? "pinned" : "evicted");
	module_load(params);
	for (size_t c = 0; c < CLIENTS; c++) {
		for (size_t l = 0; l < LOADS; l++) {
			struct run run = run_make(shared, c, l, both);
			struct trial *trial = &trials[c][l];

			run.turns = TRIAL_TURNS;
			run_clients(&run);
			for (unsigned int i = 0; i < run.clients; i++) {
				trial->imported += shared->outcomes[i].imported;
				if (shared->outcomes[i].error)
					trial->error = shared->outcomes[i].error;
			}
			if (!trial->error)
				trial->of_fitting = of_fitting(&run);
		}
	}
	module_unload();
}

/* ---- The report ---- */

static struct json_object *number(double value)
{
	return json_object_new_double(value);
}

static void add_raw(struct report *report, const struct point *point, size_t c, size_t l)
{
	char name[64];

	snprintf(name, sizeof(name), "%u clients, %g", clients_of[c], loads[l]);
	report_raw(report, "units_per_s", name, &point->work);
	report_raw(report, "of_bound", name, &point->of_bound);
	report_raw(report, "moved_bytes_per_unit", name, &point->moved_per_unit);
	report_raw(report, "fairness_in_turn", name, &point->fairness_in_turn[SLICE_WORK]);
	report_raw(report, "fairness_fitting_in_turn", name,
		   &point->fairness_in_turn[SLICE_FITTING]);
	report_raw(report, "fairness_copy_in_turn", name, &point->fairness_in_turn[SLICE_COPY]);
}

static struct json_object *point_object(const struct point *point, size_t c, size_t l)
{
	struct json_object *object = json_object_new_object();
	const struct {
		const char *key;
		double value;
	} values[] = {
		{"working_set_of_vram", loads[l]},
		{"units_per_s", samples_median(&point->work)},
		{"bound_units_per_s", samples_median(&point->bound)},
		{"of_bound", samples_median(&point->of_bound)},
		{"moved_bytes_per_unit", samples_median(&point->moved_per_unit)},
		{"moved_bytes_per_unit_at_least", moved_per_unit_at_least(loads[l])},
		{"fairness", point->fairness[SLICE_WORK]},
		{"fairness_fitting", point->fairness[SLICE_FITTING]},
		{"fairness_copy", point->fairness[SLICE_COPY]},
	};

	json_object_object_add(object, "clients", json_object_new_int((int)clients_of[c]));
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		json_object_object_add(object, values[i].key,
				       json_object_new_double(values[i].value));
	return object;
}

static void print_point(const struct point *point, size_t c, size_t l)
{
	printf("  %7u %12g %10.0f %10.0f %10.2f %14.2f %10.2f %12.2f %12.2f\n", clients_of[c],
	       loads[l], samples_median(&point->work), samples_median(&point->bound),
	       samples_median(&point->of_bound), samples_median(&point->moved_per_unit) / CHUNK,
	       point->fairness[SLICE_WORK], point->fairness[SLICE_FITTING],
	       point->fairness[SLICE_COPY]);
}

static void report_evicting(struct report *report, const struct results *results)
{
	struct json_object *points = json_object_new_array();
	double of_bound = INFINITY, fairness[SLICES] = {1, 1, 1};

	printf("\nwork in MiB/s with imports evicted and remapped (median of %d turns; fairness over %g s)\n",
	       TURNS, TURNS * WINDOW_MS / 1e3);
	printf("  %7s %12s %10s %10s %10s %14s %10s %12s %12s\n", "clients", "need / VRAM", "work",
	       "bound", "of bound", "moved / unit", "fairness", "if it fits", "of memcpy()");
	for (size_t c = 0; c < CLIENTS; c++) {
		for (size_t l = 0; l < LOADS; l++) {
			const struct point *point = &results->points[c][l];

			print_point(point, c, l);
			json_object_array_add(points, point_object(point, c, l));
			add_raw(report, point, c, l);
			of_bound = fmin(of_bound, samples_median(&point->of_bound));
			for (enum slice slice = 0; slice < SLICES; slice++)
				fairness[slice] = fmin(fairness[slice], point->fairness[slice]);
		}
	}
	report_add(report, "points", points);
	report_target(report, "of_bound_worst", of_bound, AT_LEAST, 0.8);
	report_target(report, "fairness_worst", fairness[SLICE_WORK], AT_LEAST, 0.8);
	report_value(report, "fairness_fitting_worst", fairness[SLICE_FITTING]);
	report_value(report, "fairness_copy_worst", fairness[SLICE_COPY]);
	printf("  of the same clients when everything fits %.2f, of memcpy() %.2f\n",
	       fairness[SLICE_FITTING], fairness[SLICE_COPY]);
}

static void report_pinned(struct report *report, struct trial trials[2][CLIENTS][LOADS])
{
	struct json_object *points = json_object_new_array();

	printf("\nthe same with BOs that GTT may hold, too, 64 MiB: work, as a part of work that fits\n");
	printf("  %7s %12s %10s   %s\n", "clients", "need / VRAM", "evicted", "pinned");
	for (size_t c = 0; c < CLIENTS; c++) {
		for (size_t l = 0; l < LOADS; l++) {
			const struct trial *evicted = &trials[0][c][l], *pinned = &trials[1][c][l];
			struct json_object *point = json_object_new_object();
			char text[128];

			snprintf(text, sizeof(text), "%.2f", pinned->of_fitting);
			if (pinned->error)
				snprintf(text, sizeof(text), "fails after %llu MiB: %s",
					 (unsigned long long)(pinned->imported / MIB),
					 strerror(-pinned->error));
			if (evicted->error)
				die("imports that aren't pinned fail, too: %s",
				    strerror(-evicted->error));
			printf("  %7u %12g %10.2f   %s\n", clients_of[c], loads[l],
			       evicted->of_fitting, text);
			json_object_object_add(point, "clients",
					       json_object_new_int((int)clients_of[c]));
			json_object_object_add(point, "working_set_of_vram", number(loads[l]));
			json_object_object_add(point, "evicted_of_fitting",
					       number(evicted->of_fitting));
			json_object_object_add(point, "pinned", json_object_new_string(text));
			json_object_array_add(points, point);
		}
	}
	report_add(report, "pin_imports", points);
}

static void draw(const struct report *report, const struct results *results)
{
	double y[2 * CLIENTS][LOADS];
	struct plot_line lines[2 * CLIENTS];
	char labels[2 * CLIENTS][64];
	const struct plot plot = {
		.title = "Work done when the clients need more than VRAM",
		.subtitle =
			"chunks of imported VRAM in random order; bound: what memcpy() bandwidth allows",
		.x_label = "working sets of all clients / VRAM",
		.y_label = "units of 1 MiB per second",
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t c = 0; c < CLIENTS; c++) {
		for (size_t bound = 0; bound < 2; bound++) {
			size_t i = 2 * c + bound;

			snprintf(labels[i], sizeof(labels[i]), "%u client%s%s", clients_of[c],
				 c ? "s" : "", bound ? ", bound" : "");
			for (size_t l = 0; l < LOADS; l++)
				y[i][l] = samples_median(bound ? &results->points[c][l].bound
							       : &results->points[c][l].work);
			lines[i] = (struct plot_line){
				.label = labels[i],
				.x = loads,
				.y = y[i],
				.count = LOADS,
				.dashed = bound,
			};
		}
	}
	plot_lines(report, &plot);
}

int main(int argc, char **argv)
{
	static struct trial trials[2][CLIENTS][LOADS];
	static struct results results;
	struct report report;
	struct shared *shared;

	report_begin(&report, "oversubscribe", argc, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("no shared memory: %s", strerror(errno));
	measure_evicting(shared, &results);
	try_pinned(shared, false, trials[0]);
	try_pinned(shared, true, trials[1]);
	report_evicting(&report, &results);
	report_pinned(&report, trials);
	draw(&report, &results);
	return report_finish(&report);
}
