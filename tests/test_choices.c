/* test_choices.c - measured choices: what counts, what is passed over, and threads and processes at the same time */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../lib/base/choices.h"
#include "scratch.h"

static void begin(void)
{
    scratch_make();
    setenv("XDG_CACHE_HOME", scratch, 1);
}

TestSuite(choices, .init = begin, .fini = scratch_remove);

/* Reads a number below 1000; others do not fit. */
static bool read_number(void *user, const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);
    *(int *)user = (int)number;
    return end > value && !*end && number >= 0 && number < 1000;
}

/* Returns -1 if there is none. */
static int find_in(const char *file, const char *key)
{
    int number;
    return wf_choice_find(&(wf_choice){file, key, read_number, &number}) ? number : -1;
}

static int find(const char *key)
{
    return find_in("kept", key);
}

/* Returns the number that counts. */
static int keep(const char *key, int number)
{
    char value[16];
    int counts = -1;
    snprintf(value, sizeof value, "%d", number);
    wf_choice_keep(&(wf_choice){"kept", key, read_number, &counts}, value);
    return counts;
}

static void write_kept(const char *text)
{
    scratch_write(scratch_path("kept"), text, strlen(text));
}

Test(choices, one_line_each)
{
    size_t n;
    struct stat info;
    cr_expect_eq(find("a key, with words"), -1);
    cr_expect_eq(keep("a key, with words", 7), 7);
    cr_expect_eq(keep("another", 8), 8);
    cr_expect_eq(find("a key, with words"), 7);
    cr_expect_eq(find_in("others", "another"), -1);
    char *bytes = scratch_read(scratch_path("kept"), &n);
    static const char want[] = "a key, with words\t7\nanother\t8\n";
    cr_expect(n == strlen(want) && !memcmp(bytes, want, n), "%.*s", (int)n, bytes);
    free(bytes);
    cr_assert_eq(stat(scratch_path("kept"), &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0600, "for the user alone");
}

/* The end of a long line is not a line, as it would be to a reader with a buffer of 512. */
Test(choices, damaged_and_foreign_lines)
{
    static const char before[] = "nonsense\n\n\t\nkey 1\nkey\t\nkey\t2x\nkey\t1000\nkeys\t3\nkey\t4\0\nkey";
    static const char after[] = "key\t5\nkey\t6\nkey\t7\ncut\t8";
    enum { BEFORE = sizeof before - 1, LONG = 10 * 511 - 3, AFTER = sizeof after - 1 };
    char text[BEFORE + LONG + AFTER];
    memcpy(text, before, BEFORE);
    memset(text + BEFORE, 'y', LONG);
    memcpy(text + BEFORE + LONG, after, AFTER);
    scratch_write(scratch_path("kept"), text, sizeof text);
    cr_expect_eq(find("key"), 6);
    cr_expect_eq(find("cut"), -1);
    cr_expect_eq(find("nonsense"), -1);
    cr_expect_eq(keep("cut", 9), 9);
    cr_expect_eq(find("cut"), 9);
}

Test(choices, last_as_long_as_the_process)
{
    write_kept("key\t1\n");
    cr_expect_eq(find("key"), 1);
    write_kept("key\t2\nother\t3\n");
    cr_expect_eq(find("key"), 1);
    cr_expect_eq(keep("key", 4), 1);
    cr_expect_eq(keep("other", 5), 3, "another process was first");
    cr_assert_eq(unlink(scratch_path("kept")), 0);
    cr_expect_eq(find("other"), 3);
}

static void expect_process_alone(const char *key)
{
    cr_expect_eq(find(key), -1, "%s", key);
    cr_expect_eq(keep(key, 3), 3, "%s", key);
    cr_expect_eq(keep(key, 4), 3, "%s", key);
    cr_expect_eq(find(key), 3, "%s", key);
}

Test(choices, without_a_file)
{
    cr_assert_eq(mkdir(scratch_path("kept"), 0777), 0);
    expect_process_alone("a folder has the file's name");
    setenv("XDG_CACHE_HOME", "/dev/null/folder", 1);
    expect_process_alone("a folder that cannot be made");
    setenv("XDG_CACHE_HOME", "/proc", 1);
    expect_process_alone("a folder that takes no files");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "", 1);
    expect_process_alone("no home");
}

static bool count_to_two(void *user, const char *key, const char *value)
{
    (void)key, (void)value;
    return ++*(int *)user == 2;
}

Test(choices, list_ends_early)
{
    int seen = 0;
    write_kept("a\t1\nb\t2\nc\t3\n");
    cr_expect(wf_choice_list("kept", count_to_two, &seen));
    cr_expect_eq(seen, 2);
    cr_expect(!wf_choice_list("nothing", count_to_two, &seen));
}

/* -- at the same time ---------------------------------------------------------------------------------------------- */

enum { WRITERS = 6, KEYS = 40, KEY = 6000 };

/* Keys are longer than a buffer of stdio. */
static void make_key(int number, char out[KEY])
{
    memset(out, 'k', KEY);
    snprintf(out + KEY - 16, 16, "%d", number);
}

/* Finds nothing, as all writers do before the first of them keeps something. */
static void write_all(int writer, int ready, int gate, int numbers[KEYS])
{
    char key[KEY], byte = 0;
    for (int i = 0; i < KEYS; i++) {
        make_key(i, key);
        numbers[i] = find(key);
    }
    if (write(ready, &byte, 1) != 1 || read(gate, &byte, 1) != 0)
        return;
    for (int i = 0; i < KEYS; i++) {
        make_key(i, key);
        numbers[i] = numbers[i] < 0 ? keep(key, 100 * writer + i) : -2;
    }
}

static bool count_whole(void *user, const char *key, const char *value)
{
    int number;
    *(int *)user += strlen(key) > KEY - 16 && read_number(&number, value) && number % 100 == atoi(key + KEY - 16);
    return false;
}

Test(choices, of_processes_at_the_same_time)
{
    int ready[2], gate[2], back[WRITERS][2], first[KEYS], numbers[KEYS], whole = 0;
    cr_assert(!pipe(ready) && !pipe(gate));
    for (int w = 0; w < WRITERS; w++) {
        cr_assert(!pipe(back[w]));
        pid_t child = fork();
        cr_assert(child >= 0);
        if (child)
            continue;
        close(gate[1]);
        write_all(w, ready[1], gate[0], numbers);
        _exit(write(back[w][1], numbers, sizeof numbers) != sizeof numbers);
    }
    for (int w = 0; w < WRITERS; w++)
        cr_assert_eq(read(ready[0], numbers, 1), 1);
    close(gate[1]);
    for (int w = 0; w < WRITERS; w++) {
        cr_assert_eq(read(back[w][0], w ? numbers : first, sizeof numbers), sizeof numbers);
        for (int i = 0; i < KEYS; i++)
            cr_expect(first[i] % 100 == i && (!w || numbers[i] == first[i]), "key %d: %d, first %d", i, numbers[i],
                      first[i]);
    }
    while (wait(NULL) > 0)
        ;
    cr_expect(!wf_choice_list("kept", count_whole, &whole));
    cr_expect_eq(whole, WRITERS * KEYS, "every line is whole");
}

typedef struct writer {
    pthread_t thread;
    int number, ready, gate, numbers[KEYS];
} writer;

static void *write_in_thread(void *user)
{
    writer *w = user;
    write_all(w->number, w->ready, w->gate, w->numbers);
    return NULL;
}

Test(choices, of_threads_at_the_same_time)
{
    writer writers[WRITERS];
    int ready[2], gate[2];
    char byte;
    setenv("XDG_CACHE_HOME", "/dev/null/folder", 1);
    cr_assert(!pipe(ready) && !pipe(gate));
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = (writer){.number = w, .ready = ready[1], .gate = gate[0]};
        cr_assert(!pthread_create(&writers[w].thread, NULL, write_in_thread, &writers[w]));
    }
    for (int w = 0; w < WRITERS; w++)
        cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(gate[1]);
    for (int w = 0; w < WRITERS; w++) {
        pthread_join(writers[w].thread, NULL);
        for (int i = 0; i < KEYS; i++)
            cr_expect(writers[w].numbers[i] % 100 == i && writers[w].numbers[i] == writers[0].numbers[i], "key %d: %d",
                      i, writers[w].numbers[i]);
    }
}
