/* test_image_walk.c - pictures in archives and folders */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/image/image.h"

/* An entry of a tar type: '0' a file, '1' a hard link, '2' a symbolic link, '5' a folder. */
static void tar_entry(FILE *file, char type, const char *name, const char *target, const char *text)
{
    char block[512] = {0};
    size_t n = strlen(text);
    snprintf(block, 100, "%s", name);
    snprintf(block + 100, 8, "0000644");
    snprintf(block + 124, 12, "%011o", (unsigned)n);
    snprintf(block + 136, 12, "%011o", 0);
    memcpy(block + 148, "        0ustar\00000", 17);
    block[156] = type;
    snprintf(block + 157, 100, "%s", target);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    fwrite(block, 1, 512, file);
    memset(block, 0, sizeof block);
    fwrite(text, 1, n, file);
    fwrite(block, 1, (512 - n % 512) % 512, file);
}

/* Appends one file; name NULL: the end mark. */
static void tar_add(FILE *file, const char *name, const char *text)
{
    static const char end[1024];
    if (name)
        tar_entry(file, '0', name, "", text);
    else
        fwrite(end, 1, sizeof end, file);
}

#define PIXEL(a) "P5 1 1 255\n" a

static int read_paths(char **paths, int count, char *names, size_t room, int64_t *skipped)
{
    wf_images *images;
    wf_image image = {0};
    const char *name;
    bool more = true;
    int status = wf_images_open(paths, count, NULL, &images);
    *names = '\0';
    while (!status && more) {
        status = wf_images_next(images, &image, &name, &more);
        size_t at = strlen(names);
        if (!status && more)
            snprintf(names + at, room - at, "%s=%c ", name, image.pixels[0]);
    }
    wf_images_passed passed = wf_images_passed_over(images);
    *skipped = passed.skipped + passed.clutter;
    wf_images_close(images);
    wf_image_clear(&image);
    return status;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    fputs(text, file);
    fclose(file);
}

static void enter_folder(void)
{
    char folder[] = "/tmp/wf-test-image-XXXXXX";
    cr_assert(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void leave_folder(void)
{
    char *folder = getcwd(NULL, 0), command[256];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_assert_eq(chdir("/") || system(command), 0);
    free(folder);
}

Test(image, tar)
{
    enter_folder();
    char names[512], *paths[] = {"a.tar"};
    int64_t skipped;
    FILE *file = fopen("a.tar", "wb");
    tar_add(file, "z/b.pgm", PIXEL("b"));
    tar_add(file, "z/README", "not a picture");
    tar_add(file, "._x.png", "an attribute file");
    tar_add(file, "a.pgm", PIXEL("a") PIXEL("c"));
    long cut = ftell(file);
    tar_add(file, NULL, NULL);
    fclose(file);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), 0, "%s", wf_error());
    cr_assert_str_eq(names, "a.tar:z/b.pgm=b a.tar:a.pgm=a a.tar:a.pgm#1=c ");
    cr_assert_eq(skipped, 2);

    cr_assert_eq(system("cat a.tar a.tar | gzip > b.tgz"), 0);
    paths[0] = "b.tgz";
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), 0, "%s", wf_error());
    cr_assert_eq(skipped, 4, "both archives of one file are read");

    paths[0] = "a.tar";
    cr_assert_eq(truncate("a.tar", cut), 0);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), WF_DATA, "no end mark");
    cr_assert_eq(truncate("a.tar", cut - 600), 0);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), WF_DATA, "cut");

    file = fopen("a.tar", "wb");
    tar_add(file, "bad.png", "not a picture");
    tar_add(file, NULL, NULL);
    fclose(file);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), WF_DATA, "a picture by its name");
    cr_assert(strstr(wf_error(), "a.tar:bad.png"), "%s", wf_error());
    leave_folder();
}

/* Every skipped entry of an archive is reported. */
Test(image, tar_links)
{
    enter_folder();
    char names[512], *paths[] = {"a.tar"};
    int64_t skipped;
    FILE *file = fopen("a.tar", "wb");
    tar_entry(file, '5', "d.png", "", "");
    tar_add(file, "d.png/a.pgm", PIXEL("a"));
    tar_entry(file, '1', "hard", "d.png/a.pgm", "");
    tar_entry(file, '2', "soft", "d.png/a.pgm", "");
    tar_add(file, NULL, NULL);
    fclose(file);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), 0, "%s", wf_error());
    cr_assert_str_eq(names, "a.tar:d.png/a.pgm=a ");
    cr_assert_eq(skipped, 2, "a folder is none, links are");

    for (char type = '1'; type <= '2'; type++) {
        file = fopen("a.tar", "wb");
        tar_add(file, "a.pgm", PIXEL("a"));
        tar_entry(file, type, "b.pgm", "a.pgm", "");
        tar_add(file, NULL, NULL);
        fclose(file);
        cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), WF_DATA, "a picture by its name");
        cr_assert(strstr(wf_error(), "a.tar:b.pgm: a link"), "%s", wf_error());
    }
    leave_folder();
}

Test(image, folder)
{
    enter_folder();
    char names[512], *paths[] = {"d", "1.pgm"};
    int64_t skipped;
    cr_assert_eq(mkdir("d", 0777) || mkdir("d/B", 0777) || mkdir("d/empty", 0777), 0);
    write_text("1.pgm", PIXEL("1"));
    write_text("d/a.pgm", PIXEL("a"));
    write_text("d/B/x", PIXEL("x"));
    write_text("d/B/notes.txt", "no picture");
    write_text("d/C.pgm", PIXEL("C"));
    cr_assert_eq(symlink("../1.pgm", "d/link"), 0);
    cr_assert_eq(read_paths(paths, 2, names, sizeof names, &skipped), 0, "%s", wf_error());
    cr_assert_str_eq(names, "d/B/x=x d/C.pgm=C d/a.pgm=a d/link=1 1.pgm=1 ");
    cr_assert_eq(skipped, 1);

    paths[1] = "missing.png";
    cr_assert_eq(read_paths(paths, 2, names, sizeof names, &skipped), WF_NOINPUT, "%s", wf_error());
    paths[1] = "d/B/notes.txt";
    cr_assert_eq(read_paths(paths, 2, names, sizeof names, &skipped), WF_DATA, "asked for by name");
    cr_assert_eq(symlink("..", "d/up"), 0);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), 0, "a loop: %s", wf_error());
    cr_expect_str_eq(names, "d/B/x=x d/C.pgm=C d/a.pgm=a d/link=1 d/up/1.pgm=1 ");
    cr_expect_eq(skipped, 2, "the folder in itself is counted");
    cr_assert_eq(unlink("d/up") || symlink("nowhere", "d/gone"), 0);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), WF_NOINPUT, "a dangling link");
    cr_assert_eq(unlink("d/gone"), 0);
    write_text("d/empty/none.png", "");
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), WF_DATA, "an empty picture");
    leave_folder();
}

/* ---- files of other people ------------------------------------------------------------------------------------ */

/* The picture as wf_images_next reads it. */
static int compare(void *user, int worker, int64_t first, int i, wf_image *image, const char *name)
{
    wf_image want = {0};
    const char *want_name;
    bool more;
    WF_TRY(wf_images_next(user, &want, &want_name, &more));
    bool same = more && !worker && first >= 0 && !i && !strcmp(name, want_name) && image->H == want.H &&
                image->W == want.W && image->C == want.C && image->bits == want.bits &&
                !memcmp(image->pixels, want.pixels, (size_t)image->H * (size_t)image->W * (size_t)image->C * 2);
    wf_image_clear(&want);
    return same ? WF_OK : wf_fail(WF_INTERNAL, "%s: another picture", name);
}

static int no_more(void *user, int worker, int count)
{
    return user && !worker && count == 1 ? WF_OK : WF_INTERNAL;
}

static int take_one(void *user, int worker, int64_t first, int count)
{
    return user && !worker && first >= 0 && count == 1 ? WF_OK : WF_INTERNAL;
}

/* A picture that is cut out of its file first reads the same, and is rejected for the same reason. */
static void check_cut(const char *path)
{
    char *paths[] = {(char *)path}, message[1024];
    wf_images *one, *many;
    wf_image image = {0};
    const char *name;
    bool more;
    int64_t count;
    cr_assert(!wf_images_open(paths, 1, NULL, &one) && !wf_images_open(paths, 1, NULL, &many));
    int again = wf_images_run(many, 1, 1, &(wf_image_work){compare, no_more, take_one, NULL, one, NULL}, &count);
    snprintf(message, sizeof message, "%s", again ? wf_error() : "");
    int status = wf_images_next(one, &image, &name, &more); /* not compared: the end, or a failure */
    cr_expect(status == again && (again ? !strcmp(wf_error(), message) : !more), "%s: %d %s, but cut out %d %s", path,
              status, status ? wf_error() : "", again, message);
    wf_images_close(one);
    wf_images_close(many);
    wf_image_clear(&image);
}

Test(image, odd_files_cut_out)
{
    const char *data = getenv("WF_TEST_DATA");
    char tar[4096], command[8192], line[4096];
    char *real = realpath(data ? data : "../shared/data", NULL);
    snprintf(tar, sizeof tar, "%s/oddimages_dev.tar", real ? real : "");
    free(real);
    if (access(tar, R_OK))
        cr_skip("oddimages_dev.tar is not here; WF_TEST_DATA names another folder");
    enter_folder();
    snprintf(command, sizeof command, "tar xf '%s'", tar);
    cr_assert_eq(system(command), 0);
    FILE *oracle = fopen("ORACLE.tsv", "r");
    cr_assert(oracle);
    int count = 0;
    while (fgets(line, sizeof line, oracle)) {
        char path[1024];
        if (line[0] == '#' || sscanf(line, "%1023[^\t]", path) != 1)
            continue;
        check_cut(path);
        count++;
    }
    fclose(oracle);
    cr_assert(count > 150, "%d files", count);
    leave_folder();
}

/* Hidden files and those of systems, told apart from other files that are no pictures. */
/* Entries of a folder count alike, and operands do. */
Test(image, expected)
{
    static const double want[] = {8, 8, 6, 4};
    char *paths[] = {"e", "1.pgm"};
    enter_folder();
    wf_images *images;
    wf_image image = {0};
    const char *name;
    bool more = true;
    cr_assert_eq(mkdir("e", 0777) || mkdir("e/a", 0777), 0);
    write_text("1.pgm", PIXEL("1"));
    write_text("e/a/1.pgm", PIXEL("a"));
    write_text("e/a/2.pgm", PIXEL("b"));
    write_text("e/b.pgm", PIXEL("c"));
    cr_assert_eq(wf_images_open(paths, 2, stdin, &images), 0);
    for (int i = 0; i < 4; i++) {
        cr_assert(!wf_images_next(images, &image, &name, &more) && more, "%s", wf_error());
        cr_expect_float_eq(wf_images_expected(images), want[i], 1e-9, "%d: %g", i, wf_images_expected(images));
    }
    wf_image_clear(&image);
    wf_images_close(images);
    leave_folder();
}

Test(image, clutter)
{
    char *paths[] = {"/tmp/wf-test-clutter.tar"}, names[400];
    static const char *const hidden[] = {".x.pgm",      "a/.git/x.pgm", "__MACOSX/x.pgm", "a/__macosx/._x.pgm",
                                         "..x/y.pgm",   ".../x.pgm",    "a/Thumbs.db",    "desktop.ini",
                                         "@eaDir/x.pgm"};
    static const char *const plain[] = {"./a.pgm", "a/../b.pgm", "c.d/e.pgm", "Thumbs.db.pgm", "MACOSX/f.pgm"};
    FILE *file = fopen(paths[0], "w");
    wf_images *images;
    wf_image image = {0};
    const char *name;
    bool more = true;
    int64_t count = 0, skipped;
    cr_assert_not_null(file);
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        tar_add(file, hidden[i], PIXEL("h"));
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        tar_add(file, plain[i], PIXEL("p"));
    tar_add(file, "notes", "no picture");
    tar_add(file, NULL, NULL);
    fclose(file);
    cr_assert_eq(wf_images_open(paths, 1, NULL, &images), 0);
    for (; more; count += more) {
        cr_assert_eq(wf_images_next(images, &image, &name, &more), 0, "%s", wf_error());
        cr_assert(!more || image.pixels[0] == 'p', "%s was read", name);
    }
    wf_images_passed passed = wf_images_passed_over(images);
    cr_assert(count == 5 && passed.clutter == 9 && passed.skipped == 1, "%d pictures, %d hidden, %d others", (int)count,
              (int)passed.clutter, (int)passed.skipped);
    wf_images_close(images);
    wf_image_clear(&image);
    cr_assert_eq(read_paths(paths, 1, names, sizeof names, &skipped), 0);
    cr_assert_eq(skipped, 10);
    remove(paths[0]);
}
