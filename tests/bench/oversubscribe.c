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
 * move. Both are measured by the same clients in turns with the work itself, a fraction of a second each, so that what else
 * the machine does meanwhile hits all three: work that fits is the same on all of the VRAM of GPU 2, imported by GPU 3, and
 * memcpy() goes over as much memory as the moves do, in pieces as large as theirs: in the processor's caches it is twice as
 * fast, but the moves' memory isn't there.
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
#define REPS        5
#define TURNS       8
#define SLICE_NS    150000000ULL
#define LEAD_NS     20000000ULL
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
	/** @rates: units, or bytes copied, per second */
	double rates[SLICES][TURNS];
	/** @units: in all slices of a kind together */
	uint64_t units[SLICES];
	/** @moved: bytes that the exporter copied meanwhile, as this client saw it */
	uint64_t moved;
};

/** struct shared - what parent and clients of a run see */
struct shared {
	pthread_barrier_t barrier;
	struct outcome outcomes[MAX_CLIENTS];
};

struct run {
	struct shared *shared;
	unsigned int clients;
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

struct results {
	struct samples work[CLIENTS][LOADS];
	struct samples bound[CLIENTS][LOADS];
	struct samples of_bound[CLIENTS][LOADS];
	struct samples moved_per_unit[CLIENTS][LOADS];
	struct samples fairness[CLIENTS][LOADS];
	/* of the same clients when nothing moves, and when they only memcpy() */
	struct samples fairness_fitting[CLIENTS][LOADS];
	struct samples fairness_copy[CLIENTS][LOADS];
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

static uint64_t bytes_moved(struct client *client)
{
	return gpu_info(client->sets[SLICE_WORK].exporter).bytes_moved;
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

/* All clients do the same at the same time. Returns the rate per second. */
static double do_slice(struct client *client, enum slice slice)
{
	uint64_t start, elapsed = 0, units = 0, moved;

	pthread_barrier_wait(&client->run->shared->barrier);
	/* What came before has left its traces in caches and in the scheduler. */
	for (start = now_ns(); now_ns() - start < LEAD_NS;)
		do_unit(client, slice);
	moved = bytes_moved(client);
	for (start = now_ns(); elapsed < SLICE_NS; units++) {
		do_unit(client, slice);
		elapsed = now_ns() - start;
	}
	client->outcome->units[slice] += units;
	if (slice == SLICE_WORK)
		client->outcome->moved += bytes_moved(client) - moved;
	return (double)(slice == SLICE_COPY ? units * 2 * COPIES * PART : units) * 1e9 /
	       (double)elapsed;
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
	do_slice(&client, SLICE_WORK);
	memset(client.outcome->units, 0, sizeof(client.outcome->units));
	client.outcome->moved = 0;
	for (unsigned int turn = 0; turn < TURNS; turn++)
		for (enum slice slice = 0; slice < SLICES; slice++)
			client.outcome->rates[slice][turn] = do_slice(&client, slice);
}

/* ---- A run ---- */

static void wait_for_clients(const struct run *run, const pid_t *pids)
{
	int status;

	for (unsigned int left = run->clients; left; left--) {
		if (waitpid(-1, &status, 0) < 0)
			die("waiting for a client: %s", strerror(errno));
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			continue;
		for (unsigned int i = 0; i < run->clients; i++)
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
	pid_t pids[MAX_CLIENTS];

	memset(run->shared, 0, sizeof(*run->shared));
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&run->shared->barrier, &attr, run->clients);
	fflush(NULL);
	for (unsigned int i = 0; i < run->clients; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("no process for a client: %s", strerror(errno));
		if (!pids[i]) {
			client_main(run, i);
			_exit(0);
		}
	}
	wait_for_clients(run, pids);
	pthread_barrier_destroy(&run->shared->barrier);
	wait_for_memory(0);
	wait_for_memory(2);
}

static struct run run_make(struct shared *shared, size_t c, size_t l, uint32_t placements)
{
	struct run run = {
		.shared = shared,
		.clients = clients_of[c],
		.need = (uint64_t)(loads[l] * (double)VRAM) / clients_of[c],
		.placements = placements,
	};

	return run;
}

/* Of all clients in one turn. */
static double rate_sum(const struct run *run, enum slice slice, unsigned int turn)
{
	double sum = 0;

	for (unsigned int i = 0; i < run->clients; i++)
		sum += run->shared->outcomes[i].rates[slice][turn];
	return sum;
}

/* What has to move per unit of work, out and in, whatever the strategy. */
static double moved_per_unit_at_least(double load)
{
	return load > 1 ? 2 * (double)CHUNK * (1 - 1 / load) : 0;
}

static double fairness(const struct run *run, enum slice slice)
{
	double slowest = INFINITY, fastest = 0;

	for (unsigned int i = 0; i < run->clients; i++) {
		double units = (double)run->shared->outcomes[i].units[slice];

		slowest = fmin(slowest, units);
		fastest = fmax(fastest, units);
	}
	return slowest / fastest;
}

static void add_rates(struct results *results, const struct run *run, size_t c, size_t l)
{
	struct samples work = {0}, bound = {0}, of_bound = {0};

	for (unsigned int turn = 0; turn < TURNS; turn++) {
		double rate = rate_sum(run, SLICE_WORK, turn);
		double best =
			1 / (1 / rate_sum(run, SLICE_FITTING, turn) +
			     moved_per_unit_at_least(loads[l]) / rate_sum(run, SLICE_COPY, turn));

		samples_add(&work, rate);
		samples_add(&bound, best);
		samples_add(&of_bound, rate / best);
	}
	samples_fold(&results->work[c][l], &work);
	samples_fold(&results->bound[c][l], &bound);
	samples_fold(&results->of_bound[c][l], &of_bound);
}

static void add_run(struct results *results, const struct run *run, size_t c, size_t l)
{
	const struct outcome *outcomes = run->shared->outcomes;
	double units = 0;

	for (unsigned int i = 0; i < run->clients; i++) {
		if (outcomes[i].error)
			die("%u clients with %g × VRAM: %s after %llu MiB", run->clients, loads[l],
			    strerror(-outcomes[i].error),
			    (unsigned long long)(outcomes[i].imported / MIB));
		units += (double)outcomes[i].units[SLICE_WORK];
	}
	add_rates(results, run, c, l);
	samples_add(&results->fairness[c][l], fairness(run, SLICE_WORK));
	samples_add(&results->fairness_fitting[c][l], fairness(run, SLICE_FITTING));
	samples_add(&results->fairness_copy[c][l], fairness(run, SLICE_COPY));
	samples_add(&results->moved_per_unit[c][l], (double)outcomes[0].moved / units);
}

static void measure_evicting(struct shared *shared, struct results *results)
{
	const char *const params[] = {"devices=4", "vram_mib=64", NULL};

	module_load(params);
	for (unsigned int rep = 0; rep < REPS; rep++) {
		progress("repetition %u of %d", rep + 1, REPS);
		for (size_t c = 0; c < CLIENTS; c++) {
			for (size_t l = 0; l < LOADS; l++) {
				struct run run = run_make(shared, c, l, DRM_DROVER_PLACEMENT_VRAM);

				run.seed = rep * LOADS + (uint32_t)l;
				run_clients(&run);
				add_run(results, &run, c, l);
			}
		}
	}
	module_unload();
}

static double of_fitting(const struct run *run)
{
	struct samples parts = {0};
	double median;

	for (unsigned int turn = 0; turn < TURNS; turn++)
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

static void add_raw(struct report *report, const struct results *results, size_t c, size_t l)
{
	char name[64];

	snprintf(name, sizeof(name), "%u clients, %g", clients_of[c], loads[l]);
	report_raw(report, "units_per_s", name, &results->work[c][l]);
	report_raw(report, "of_bound", name, &results->of_bound[c][l]);
	report_raw(report, "fairness", name, &results->fairness[c][l]);
	report_raw(report, "fairness_fitting", name, &results->fairness_fitting[c][l]);
	report_raw(report, "fairness_copy", name, &results->fairness_copy[c][l]);
	report_raw(report, "moved_bytes_per_unit", name, &results->moved_per_unit[c][l]);
}

static struct json_object *point_object(const struct results *results, size_t c, size_t l)
{
	struct json_object *point = json_object_new_object();

	json_object_object_add(point, "clients", json_object_new_int((int)clients_of[c]));
	json_object_object_add(point, "working_set_of_vram", number(loads[l]));
	json_object_object_add(point, "units_per_s", number(samples_median(&results->work[c][l])));
	json_object_object_add(point, "bound_units_per_s",
			       number(samples_median(&results->bound[c][l])));
	json_object_object_add(point, "of_bound", number(samples_median(&results->of_bound[c][l])));
	json_object_object_add(point, "moved_bytes_per_unit",
			       number(samples_median(&results->moved_per_unit[c][l])));
	json_object_object_add(point, "moved_bytes_per_unit_at_least",
			       number(moved_per_unit_at_least(loads[l])));
	json_object_object_add(point, "fairness", number(samples_median(&results->fairness[c][l])));
	json_object_object_add(point, "fairness_fitting",
			       number(samples_median(&results->fairness_fitting[c][l])));
	json_object_object_add(point, "fairness_copy",
			       number(samples_median(&results->fairness_copy[c][l])));
	return point;
}

static void report_evicting(struct report *report, const struct results *results)
{
	struct json_object *points = json_object_new_array();
	double of_bound = 10, fairness = 1;

	printf("\nwork in MiB/s with imports evicted and remapped (median of %d repetitions)\n",
	       REPS);
	printf("  %7s %12s %10s %10s %10s %14s %10s %12s %12s\n", "clients", "need / VRAM", "work",
	       "bound", "of bound", "moved / unit", "fairness", "if it fits", "of memcpy()");
	for (size_t c = 0; c < CLIENTS; c++) {
		for (size_t l = 0; l < LOADS; l++) {
			double part = samples_median(&results->of_bound[c][l]);
			double fair = samples_median(&results->fairness[c][l]);

			printf("  %7u %12g %10.0f %10.0f %10.2f %14.2f %10.2f %12.2f %12.2f\n",
			       clients_of[c], loads[l], samples_median(&results->work[c][l]),
			       samples_median(&results->bound[c][l]), part,
			       samples_median(&results->moved_per_unit[c][l]) / CHUNK, fair,
			       samples_median(&results->fairness_fitting[c][l]),
			       samples_median(&results->fairness_copy[c][l]));
			json_object_array_add(points, point_object(results, c, l));
			add_raw(report, results, c, l);
			of_bound = part < of_bound ? part : of_bound;
			fairness = fair < fairness ? fair : fairness;
		}
	}
	report_add(report, "points", points);
	report_target(report, "of_bound_worst", of_bound, AT_LEAST, 0.8);
	report_target(report, "fairness_worst", fairness, AT_LEAST, 0.8);
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
				y[i][l] = samples_median(bound ? &results->bound[c][l]
							       : &results->work[c][l]);
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
