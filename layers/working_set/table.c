// SPDX-License-Identifier: MIT
/*
 * Owns the concurrent hash table.
 *
 * Each shard is a chained hash table under a sequence lock. A reader may walk a
 * chain while a writer changes it: so nodes and bucket arrays are never freed before
 * table_fini(), removed nodes are used again, and a reader that saw a
 * change tries again. A walk that ended up in another chain looks at the sequence now and then, so
 * it can't go round in circles for ever.
 *
 * Whatever readers look at is stored with release and loaded with acquire: who sees a
 * writer's store also sees that the sequence was odd before it.
 */
#include <stdlib.h>

#include "table.h"

#define FIRST_BUCKETS      16
/* A chain is longer than this only if it changed under the reader, or on very bad luck. */
#define STEPS_BEFORE_CHECK 64

struct table_node {
	_Atomic(uint64_t) key;
	_Atomic(void *) value;
	_Atomic(struct table_node *) next;
};

struct table_buckets {
	/* The smaller array before this one, which readers may still look at. */
	struct table_buckets *previous;
	size_t mask;
	_Atomic(struct table_node *) heads[];
};

#define load(object)         atomic_load_explicit(object, memory_order_acquire)
#define store(object, value) atomic_store_explicit(object, value, memory_order_release)

static uint64_t hash(uint64_t key)
{
	/* the finalizer of splitmix64: handles differ in few bits */
	key ^= key >> 30;
	key *= 0xbf58476d1ce4e5b9ull;
	key ^= key >> 27;
	key *= 0x94d049bb133111ebull;
	return key ^ key >> 31;
}

static struct table_shard *shard_of(const struct table *table, uint64_t hashed)
{
	return (struct table_shard *)&table->shards[hashed >> 60 & (TABLE_SHARDS - 1)];
}

void table_init(struct table *table)
{
	for (size_t i = 0; i < TABLE_SHARDS; i++)
		table->shards[i] = (struct table_shard){.lock = PTHREAD_MUTEX_INITIALIZER};
}

static void free_chain(struct table_node *node)
{
	while (node) {
		struct table_node *next = load(&node->next);

		free(node);
		node = next;
	}
}

void table_fini(struct table *table)
{
	for (size_t i = 0; i < TABLE_SHARDS; i++) {
		struct table_shard *shard = &table->shards[i];
		struct table_buckets *buckets = load(&shard->buckets);

		for (size_t j = 0; buckets && j <= buckets->mask; j++)
			free_chain(load(&buckets->heads[j]));
		while (buckets) {
			struct table_buckets *previous = buckets->previous;

			free(buckets);
			buckets = previous;
		}
		free_chain(shard->unused);
		pthread_mutex_destroy(&shard->lock);
	}
	table_init(table);
}

static void write_begin(struct table_shard *shard)
{
	uint32_t sequence = atomic_load_explicit(&shard->sequence, memory_order_relaxed);

	atomic_store_explicit(&shard->sequence, sequence + 1, memory_order_relaxed);
}

static void write_end(struct table_shard *shard)
{
	uint32_t sequence = atomic_load_explicit(&shard->sequence, memory_order_relaxed);

	atomic_store_explicit(&shard->sequence, sequence + 1, memory_order_release);
}

/* For writers, with the lock held: where the pointer to the node of @key is, or the chain's end. */
static _Atomic(struct table_node *) *find_link(struct table_buckets *buckets, uint64_t hashed,
					       uint64_t key)
{
	_Atomic(struct table_node *) *link = &buckets->heads[hashed & buckets->mask];
	struct table_node *node;

	while ((node = load(link)) && load(&node->key) != key)
		link = &node->next;
	return link;
}

static void move_nodes(struct table_buckets *from, struct table_buckets *to)
{
	for (size_t i = 0; i <= from->mask; i++) {
		struct table_node *node = load(&from->heads[i]);

		store(&from->heads[i], NULL);
		while (node) {
			struct table_node *next = load(&node->next);
			_Atomic(struct table_node *) *head =
				&to->heads[hash(load(&node->key)) & to->mask];

			store(&node->next, load(head));
			store(head, node);
			node = next;
		}
	}
}

static struct table_buckets *new_buckets(size_t size)
{
	struct table_buckets *buckets =
		calloc(1, sizeof(*buckets) + size * sizeof(buckets->heads[0]));

	if (buckets)
		buckets->mask = size - 1;
	return buckets;
}

/* Takes what is there, which is taken out, or allocates it. */
static struct table_buckets *first_buckets(struct table_spare *spare)
{
	struct table_buckets *buckets = spare->buckets;

	spare->buckets = NULL;
	return buckets ? buckets : new_buckets(FIRST_BUCKETS);
}

static struct table_node *take_node(struct table_shard *shard, struct table_spare *spare)
{
	struct table_node *node = shard->unused;

	if (node) {
		shard->unused = load(&node->next);
		return node;
	}
	node = spare->node;
	spare->node = NULL;
	return node ? node : calloc(1, sizeof(*node));
}

/* Makes room for one more; without memory a chain just gets longer, unless there's no array yet. */
static bool grow(struct table_shard *shard, struct table_spare *spare)
{
	struct table_buckets *old = load(&shard->buckets);
	struct table_buckets *buckets;

	if (old && shard->count <= old->mask)
		return true;
	buckets = old ? new_buckets(2 * (old->mask + 1)) : first_buckets(spare);
	if (!buckets)
		return old != NULL;
	buckets->previous = old;
	write_begin(shard);
	if (old)
		move_nodes(old, buckets);
	store(&shard->buckets, buckets);
	write_end(shard);
	return true;
}

static bool put(struct table *table, uint64_t key, void *value, struct table_spare *spare)
{
	uint64_t hashed = hash(key);
	struct table_shard *shard = shard_of(table, hashed);
	_Atomic(struct table_node *) *link;
	struct table_node *node;
	bool done = false;

	pthread_mutex_lock(&shard->lock);
	if (!grow(shard, spare))
		goto out;
	link = find_link(load(&shard->buckets), hashed, key);
	node = load(link);
	if (node) {
		store(&node->value, value);
		done = true;
		goto out;
	}
	node = take_node(shard, spare);
	if (!node)
		goto out;
	write_begin(shard);
	store(&node->key, key);
	store(&node->value, value);
	store(&node->next, NULL);
	store(link, node);
	write_end(shard);
	shard->count++;
	done = true;
out:
	pthread_mutex_unlock(&shard->lock);
	return done;
}

bool table_put(struct table *table, uint64_t key, void *value)
{
	struct table_spare none = {0};

	return put(table, key, value, &none);
}

bool table_spare_init(struct table_spare *spare)
{
	spare->node = calloc(1, sizeof(*spare->node));
	spare->buckets = new_buckets(FIRST_BUCKETS);
	if (spare->node && spare->buckets)
		return true;
	table_spare_fini(spare);
	return false;
}

void table_spare_fini(struct table_spare *spare)
{
	free(spare->node);
	free(spare->buckets);
	*spare = (struct table_spare){0};
}

void table_put_spare(struct table *table, uint64_t key, void *value, struct table_spare *spare)
{
	put(table, key, value, spare);
}

void *table_remove(struct table *table, uint64_t key)
{
	uint64_t hashed = hash(key);
	struct table_shard *shard = shard_of(table, hashed);
	struct table_buckets *buckets;
	_Atomic(struct table_node *) *link;
	struct table_node *node = NULL;
	void *value = NULL;

	pthread_mutex_lock(&shard->lock);
	buckets = load(&shard->buckets);
	if (buckets) {
		link = find_link(buckets, hashed, key);
		node = load(link);
	}
	if (node) {
		value = load(&node->value);
		write_begin(shard);
		store(link, load(&node->next));
		store(&node->next, shard->unused);
		write_end(shard);
		shard->unused = node;
		shard->count--;
	}
	pthread_mutex_unlock(&shard->lock);
	return value;
}

/* One try of a reader. Returns false if the table changed meanwhile. */
static bool try_get(const struct table_shard *shard, uint64_t hashed, uint64_t key, void **value)
{
	uint32_t sequence = atomic_load_explicit(&shard->sequence, memory_order_acquire);
	struct table_buckets *buckets;
	struct table_node *node = NULL;
	unsigned int steps = 0;

	if (sequence & 1)
		return false;
	*value = NULL;
	buckets = load(&shard->buckets);
	if (buckets)
		node = atomic_load_explicit(&buckets->heads[hashed & buckets->mask],
					    memory_order_acquire);
	while (node && load(&node->key) != key) {
		node = load(&node->next);
		if (++steps % STEPS_BEFORE_CHECK == 0 &&
		    atomic_load_explicit(&shard->sequence, memory_order_acquire) != sequence)
			return false;
	}
	if (node)
		*value = load(&node->value);
	return atomic_load_explicit(&shard->sequence, memory_order_relaxed) == sequence;
}

void *table_get(const struct table *table, uint64_t key)
{
	uint64_t hashed = hash(key);
	struct table_shard *shard = shard_of(table, hashed);
	void *value;

	while (!try_get(shard, hashed, key, &value))
		;
	return value;
}

void table_for_each(struct table *table, void (*visit)(uint64_t key, void *value, void *data),
		    void *data)
{
	for (size_t i = 0; i < TABLE_SHARDS; i++) {
		struct table_shard *shard = &table->shards[i];
		struct table_buckets *buckets;
		struct table_node *node;

		pthread_mutex_lock(&shard->lock);
		buckets = load(&shard->buckets);
		for (size_t j = 0; buckets && j <= buckets->mask; j++)
			for (node = load(&buckets->heads[j]); node; node = load(&node->next))
				visit(load(&node->key), load(&node->value), data);
		pthread_mutex_unlock(&shard->lock);
	}
}
