/* SPDX-License-Identifier: MIT */
/*
 * Concurrent hash table from 64-bit keys (Vulkan handles, dispatch pointers) to
 * pointers: the only way in which the layer attaches data to Vulkan's objects.
 *
 * Looking up takes no lock, allocates nothing and writes nothing that other
 * threads read. Adding and removing lock one shard. All functions may be called from any
 * number of threads; what the values point to is the caller's business: Vulkan's
 * external synchronization already says that nobody destroys an object that another
 * thread is using.
 */
#ifndef LAYER_TABLE_H
#define LAYER_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_SHARDS 16

struct table_buckets;
struct table_node;

struct table_shard {
	pthread_mutex_t lock;
	/* Odd while a writer is at work; readers try again if it changed. */
	_Atomic(uint32_t) sequence;
	_Atomic(struct table_buckets *) buckets;
	struct table_node *unused;
	size_t count;
} __attribute__((aligned(64)));

/* struct table - all zeros is an empty table (a static one needs no table_init()) */
struct table {
	struct table_shard shards[TABLE_SHARDS];
};

void table_init(struct table *table);

/* Frees the table's memory, not what the values point to. Nobody else may use it any more. */
void table_fini(struct table *table);

/*
 * table_put() - set the value of @key, which is not 0
 *
 * Return: false: no memory; the table is as before.
 */
bool table_put(struct table *table, uint64_t key, void *value);

/*
 * Memory that table_put_spare() may need, for who can't fail later. Without initialization:
 * table_spare_init() allocates all of it or none (false).
 */
struct table_spare {
	struct table_node *node;
	struct table_buckets *buckets;
};

bool table_spare_init(struct table_spare *spare);
/* Frees what is left. */
void table_spare_fini(struct table_spare *spare);

/* table_put_spare() - table_put() that can't fail */
void table_put_spare(struct table *table, uint64_t key, void *value, struct table_spare *spare);

/* Return: the value, or NULL if there is none. */
void *table_get(const struct table *table, uint64_t key);

/* Return: the value that was removed, or NULL. */
void *table_remove(struct table *table, uint64_t key);

/*
 * table_for_each() - call @visit with every entry, in no order
 *
 * Under a shard's lock: @visit must not call functions of this table. Entries that
 * others add or remove meanwhile may be missed or not.
 */
void table_for_each(struct table *table, void (*visit)(uint64_t key, void *value, void *data),
		    void *data);

/* The key of a handle: dispatchable handles are pointers, the others 64-bit numbers. */
#define table_key(handle) ((uint64_t)(uintptr_t)(handle))

#endif
