/* lmdb_check.c - a validator of LMDB files, after the layout in mdb.c of liblmdb 0.9
 *
 * Numbers are little endian; words have the 64 bits of the machine that wrote them. A file is a sequence of pages of
 * equal size.
 *
 *     page header, 16 bytes (MDB_page): u64 own number | u16 pad | u16 flags | u16 lower, u16 upper
 *         overflow pages have, in place of lower and upper, u32 number of pages of the value
 *     meta page, 0 and 1 (MDB_meta, after the header): u32 magic | u32 version | u64 address | u64 map size |
 *         MDB_db of free pages | MDB_db main | u64 last page | u64 transaction; the newer transaction is valid
 *     MDB_db, 48 bytes: u32 pad (in the first: page size) | u16 flags | u16 depth | u64 branch pages | u64 leaf pages |
 *         u64 overflow pages | u64 entries | u64 root page, all ones when empty
 *     branch and leaf page: u16 offset of each node from byte 16 to lower; nodes from upper to the page's end
 *     node, 8 bytes (MDB_node): u16 low, u16 high | u16 flags | u16 key size, then the key
 *         branch: low, high and flags are the child's page number
 *         leaf: low, high are the size of the data; after the key comes the data or, with F_BIGDATA, the u64 number of
 *         its first overflow page
 *     free pages: key = transaction, data = u64 count, then that number of u64 page numbers */
#include "lmdb_check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER = 16, NODE = 8, DB = 48, META = 136, MAX_KEY = 511, MAX_DEPTH = 32 };
enum { BRANCH = 0x01, LEAF = 0x02, OVERFLOW = 0x04, META_PAGE = 0x08 };
enum { BIG_DATA = 0x01, SUB_DATA = 0x02 };
enum { FIXED_MAP = 0x01, INTEGER_KEY = 0x08, DUPLICATES = 0x01 | 0x04 | 0x10 | 0x20 | 0x40 };
static const uint32_t MAGIC = 0xBEEFC0DE, VERSION = 1;
static const uint64_t NO_PAGE = ~(uint64_t)0;

typedef struct tree {
    unsigned flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
} tree;

typedef struct meta {
    tree free, main;
    uint64_t page_size, last, transaction;
} meta;

typedef struct checker {
    int descriptor;
    const char *name;
    meta meta;
    uint64_t pages;         /* whole pages in the file, or pages in use if those are fewer */
    unsigned char *used;    /* a bit per page, because a page must not be reached twice */
    unsigned char *buffers; /* one page per depth */
} checker;

static uint64_t get_number(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    memcpy(&value, p, (size_t)bytes);
    return value;
}

static int fail_page(const checker *c, uint64_t page, const char *what)
{
    return wf_fail(WF_DATA, "%s: corrupt at page %llu (byte %llu): %s", c->name, (unsigned long long)page,
                   (unsigned long long)(page * c->meta.page_size), what);
}

static int read_at(const checker *c, void *to, size_t n, uint64_t at)
{
    for (size_t have = 0; have < n;) {
        ssize_t got = pread(c->descriptor, (char *)to + have, n - have, (off_t)(at + have));
        if (got < 0)
            return wf_fail_errno("%s: cannot read at byte %llu", c->name, (unsigned long long)at);
        WF_CHECK(got, WF_DATA, "%s: cut off at byte %llu", c->name, (unsigned long long)(at + have));
        have += (size_t)got;
    }
    return WF_OK;
}

/* -- meta pages ---------------------------------------------------------------------------------------------------- */

static tree parse_tree(const unsigned char *p)
{
    return (tree){.flags = (unsigned)get_number(p + 4, 2),
                  .depth = (unsigned)get_number(p + 6, 2),
                  .branches = get_number(p + 8, 8),
                  .leaves = get_number(p + 16, 8),
                  .overflows = get_number(p + 24, 8),
                  .entries = get_number(p + 32, 8),
                  .root = get_number(p + 40, 8)};
}

static int read_meta(const checker *c, int which, uint64_t page_size, meta *out)
{
    unsigned char page[HEADER + META], *p = page + HEADER;
    WF_TRY(read_at(c, page, sizeof page, (uint64_t)which * page_size));
    WF_CHECK(get_number(page + 10, 2) == META_PAGE && get_number(p, 4) == MAGIC, WF_DATA,
             "%s: not an LMDB file: meta page %d is damaged", c->name, which);
    WF_CHECK(get_number(p + 4, 4) == VERSION, WF_DATA, "%s: LMDB format %llu, want %u", c->name,
             (unsigned long long)get_number(p + 4, 4), VERSION);
    *out = (meta){.free = parse_tree(p + 24),
                  .main = parse_tree(p + 24 + DB),
                  .page_size = get_number(p + 24, 4),
                  .last = get_number(p + 24 + 2 * DB, 8),
                  .transaction = get_number(p + 32 + 2 * DB, 8)};
    bool power = out->page_size >= 512 && out->page_size <= 32768 && !(out->page_size & (out->page_size - 1));
    WF_CHECK(power && (!which || out->page_size == page_size), WF_DATA,
             "%s: meta page %d: a page size of %llu, want a power of two from 512 to 32768", c->name, which,
             (unsigned long long)out->page_size);
    /* A transaction writes the meta page of its parity; both are 0 in a new file. */
    WF_CHECK(!out->transaction || (out->transaction & 1) == (uint64_t)which, WF_DATA,
             "%s: meta page %d: transaction %llu belongs on the other one", c->name, which,
             (unsigned long long)out->transaction);
    return WF_OK;
}

static int read_metas(checker *c)
{
    meta both[2];
    WF_TRY(read_meta(c, 0, 0, &both[0]));
    WF_TRY(read_meta(c, 1, both[0].page_size, &both[1]));
    c->meta = both[both[0].transaction < both[1].transaction];
    const meta *m = &c->meta;
    WF_CHECK((m->free.flags & (DUPLICATES | INTEGER_KEY | FIXED_MAP)) == INTEGER_KEY, WF_DATA,
             "%s: meta page: the database of free pages has flags %#x, want %#x", c->name, m->free.flags, INTEGER_KEY);
    struct stat info;
    if (fstat(c->descriptor, &info))
        return wf_fail_errno("%s: cannot stat", c->name);
    WF_CHECK(m->last >= 1 && m->last < (uint64_t)1 << 47, WF_DATA,
             "%s: meta page: %llu as the last page, want 1 or more", c->name, (unsigned long long)m->last);
    /* An undamaged file may end before its last page: pages freed within the transaction that allocated them are
     * counted but never written. So a file is cut off only if a page that is needed lies beyond its end. */
    c->pages = (uint64_t)info.st_size / m->page_size;
    if (c->pages > m->last + 1)
        c->pages = m->last + 1;
    return WF_OK;
}

/* -- trees --------------------------------------------------------------------------------------------------------- */

typedef struct walk {
    checker *c;
    enum { FREE_TREE, MAIN_TREE, SUB_TREE } kind;
    unsigned depth; /* as the tree claims */
    uint64_t branches, leaves, overflows, entries;
} walk;

static int walk_tree(checker *c, int kind, const tree *t);

/* Marks pages [page, page + count) as reached. */
static int reach_pages(checker *c, uint64_t from, uint64_t page, uint64_t count)
{
    if (page > c->meta.last || count > c->meta.last + 1 - page || page < 2)
        return fail_page(c, from, "it refers to a page outside the file's pages");
    WF_CHECK(page < c->pages && count <= c->pages - page, WF_DATA,
             "%s: cut off: page %llu is needed, the file has %llu", c->name, (unsigned long long)(page + count - 1),
             (unsigned long long)c->pages);
    for (uint64_t i = page; i < page + count; i++) {
        if (c->used[i / 8] >> (i % 8) & 1)
            return fail_page(c, i, "it is reached twice");
        c->used[i / 8] |= (unsigned char)(1u << (i % 8));
    }
    return WF_OK;
}

/* Checks a list of free pages, which a later writer would use again. Marking them as reached finds pages that are both
 * free and part of a tree. */
static int read_free_list(walk *w, uint64_t page, const unsigned char *list, uint64_t size)
{
    uint64_t count = size >= 8 ? get_number(list, 8) : NO_PAGE;
    if (count > size / 8 - 1 || size % 8)
        return fail_page(w->c, page, "its list of free pages has the wrong length");
    uint64_t before = NO_PAGE; /* numbers descend */
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t number = get_number(list + 8 * i, 8);
        if (number < 2 || number >= before || number > w->c->meta.last)
            return fail_page(w->c, page, "its list of free pages is not in order");
        before = number;
        /* Pages beyond the file's end are not part of any tree. */
        if (number < w->c->pages)
            WF_TRY(reach_pages(w->c, page, number, 1));
    }
    return WF_OK;
}

static int read_big_free_list(walk *w, uint64_t page, uint64_t first, uint64_t size)
{
    unsigned char *list = malloc((size_t)size);
    WF_CHECK(list, WF_AGAIN, "%s: out of memory", w->c->name);
    int status = read_at(w->c, list, (size_t)size, first * w->c->meta.page_size + HEADER);
    if (!status)
        status = read_free_list(w, page, list, size);
    free(list);
    return status;
}

static int check_overflow(walk *w, uint64_t page, uint64_t first, uint64_t size)
{
    checker *c = w->c;
    unsigned char header[HEADER];
    uint64_t count = (HEADER - 1 + size) / c->meta.page_size + 1;
    WF_TRY(reach_pages(c, page, first, count));
    WF_TRY(read_at(c, header, sizeof header, first * c->meta.page_size));
    if (get_number(header, 8) != first || get_number(header + 10, 2) != OVERFLOW || get_number(header + 12, 4) != count)
        return fail_page(c, first, "it is not the overflow page that an entry refers to");
    w->overflows += count;
    return w->kind == FREE_TREE ? read_big_free_list(w, page, first, size) : WF_OK;
}

static int check_leaf_node(walk *w, uint64_t page, const unsigned char *node, uint64_t room)
{
    uint64_t size = get_number(node, 2) | get_number(node + 2, 2) << 16, key = get_number(node + 6, 2);
    unsigned flags = (unsigned)get_number(node + 4, 2);
    const unsigned char *data = node + NODE + key;
    bool big = flags == BIG_DATA;
    if (NODE + key + (big ? 8 : size) > room || !key || key > MAX_KEY)
        return fail_page(w->c, page, "an entry leaves the page");
    if (w->kind == FREE_TREE && key != 8)
        return fail_page(w->c, page, "a key of free pages is not 8 bytes long");
    w->entries++;
    if (big)
        return check_overflow(w, page, get_number(data, 8), size);
    if (flags == SUB_DATA && w->kind == MAIN_TREE && size == DB) {
        tree sub = parse_tree(data);
        return walk_tree(w->c, SUB_TREE, &sub);
    }
    if (flags)
        return fail_page(w->c, page,
                         "an entry of unknown kind, or with duplicates (MDB_DUPSORT), which are not supported");
    return w->kind == FREE_TREE ? read_free_list(w, page, data, size) : WF_OK;
}

static int walk_page(walk *w, uint64_t from, uint64_t page, unsigned depth);

static int check_branch_node(walk *w, uint64_t page, const unsigned char *node, uint64_t room, unsigned depth)
{
    uint64_t key = get_number(node + 6, 2);
    if (NODE + key > room || key > MAX_KEY)
        return fail_page(w->c, page, "an entry leaves the page");
    return walk_page(w, page, get_number(node, 6), depth + 1);
}

static int walk_page(walk *w, uint64_t from, uint64_t page, unsigned depth)
{
    checker *c = w->c;
    uint64_t size = c->meta.page_size;
    /* A sub-database is walked while pages of the main one are in use, so it has buffers of its own. */
    unsigned char *p = c->buffers + (depth - 1 + (w->kind == SUB_TREE ? MAX_DEPTH : 0)) * size;
    WF_TRY(reach_pages(c, from, page, 1));
    WF_TRY(read_at(c, p, size, page * size));
    uint64_t flags = get_number(p + 10, 2), lower = get_number(p + 12, 2), upper = get_number(p + 14, 2);
    bool leaf = depth == w->depth;
    if (get_number(p, 8) != page || flags != (leaf ? LEAF : BRANCH))
        return fail_page(c, page,
                         leaf ? "it is not the leaf that its parent refers to"
                              : "it is not the branch that its parent refers to");
    if (lower % 2 || lower > upper || upper > size || lower < HEADER + (leaf ? 2 : 4))
        return fail_page(c, page, "its lower and upper bounds are wrong");
    *(leaf ? &w->leaves : &w->branches) += 1;
    for (uint64_t i = HEADER; i < lower; i += 2) {
        uint64_t at = get_number(p + i, 2);
        if (at < upper || at % 2 || at + NODE > size)
            return fail_page(c, page, "an entry leaves the page");
        WF_TRY(leaf ? check_leaf_node(w, page, p + at, size - at)
                    : check_branch_node(w, page, p + at, size - at, depth));
    }
    return WF_OK;
}

static int walk_tree(checker *c, int kind, const tree *t)
{
    walk w = {.c = c, .kind = kind, .depth = t->depth};
    if (kind != FREE_TREE && (t->flags & (DUPLICATES | INTEGER_KEY)))
        return wf_fail(WF_DATA, "%s: a database has flags %#x, which are not supported", c->name, t->flags);
    if (t->depth > MAX_DEPTH || !t->depth != (t->root == NO_PAGE))
        return wf_fail(WF_DATA, "%s: a database has depth %u and root page %llu", c->name, t->depth,
                       (unsigned long long)t->root);
    if (t->depth)
        WF_TRY(walk_page(&w, 0, t->root, 1));
    WF_CHECK(w.branches == t->branches && w.leaves == t->leaves && w.overflows == t->overflows &&
                 w.entries == t->entries,
             WF_DATA, "%s: a database has %llu entries in %llu pages, but claims %llu in %llu", c->name,
             (unsigned long long)w.entries, (unsigned long long)(w.branches + w.leaves + w.overflows),
             (unsigned long long)t->entries, (unsigned long long)(t->branches + t->leaves + t->overflows));
    return WF_OK;
}

int wf_lmdb_check(int descriptor, const char *name, wf_lmdb_info *info)
{
    checker c = {.descriptor = descriptor, .name = name};
    WF_TRY(read_metas(&c));
    c.used = calloc(1, (size_t)(c.pages / 8 + 1));
    c.buffers = malloc((size_t)(2 * MAX_DEPTH * c.meta.page_size));
    int status = WF_OK;
    if (!c.used || !c.buffers)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", name));
    WF_GO(walk_tree(&c, MAIN_TREE, &c.meta.main));
    /* Free pages come last, so that a page both free and in use counts as reached twice. */
    WF_GO(walk_tree(&c, FREE_TREE, &c.meta.free));
    *info = (wf_lmdb_info){.page_size = c.meta.page_size, .bytes = (c.meta.last + 1) * c.meta.page_size};
out:
    free(c.used);
    free(c.buffers);
    return status;
}
