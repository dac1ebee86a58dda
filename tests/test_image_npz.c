/* test_image_npz.c - arrays of a .npz: labels, and which one is read */
#include <archive.h>
#include <archive_entry.h>

#include "reading.h"

typedef struct array {
    const char *name, *descr, *shape;
    int bytes; /* of the samples, all of which are the first letter of the name */
} array;

static void put_npy(heap *h, const array *a)
{
    char head[200];
    int n =
        snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n", a->descr, a->shape);
    put(h, "\x93NUMPY\1\0", 8);
    put_number(h, (uint32_t)n, 2, false);
    put(h, head, (size_t)n);
    for (int i = 0; i < a->bytes; i++)
        put(h, a->name, 1);
}

/* Writes the arrays, up to one without a name, as numpy.savez does; `deflate`: as savez_compressed. */
static void put_npz(const char *path, const array *arrays, bool deflate)
{
    static heap h;
    struct archive *zip = archive_write_new();
    archive_write_set_format_zip(zip);
    archive_write_set_format_option(zip, "zip", "compression", deflate ? "deflate" : "store");
    cr_assert_eq(archive_write_open_filename(zip, path), 0);
    for (; arrays->name; arrays++) {
        struct archive_entry *entry = archive_entry_new();
        char name[100];
        snprintf(name, sizeof name, "%s.npy", arrays->name);
        h.n = 0;
        put_npy(&h, arrays);
        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, (la_int64_t)h.n);
        cr_assert_eq(archive_write_header(zip, entry), 0);
        archive_write_data(zip, h.bytes, h.n);
        archive_entry_free(entry);
    }
    archive_write_free(zip);
}

/* The arrays of MedMNIST, with smaller sizes. */
static const array sets[] = {{"train_images", "|u1", "5, 4, 6", 120},
                             {"train_labels", "|u1", "5, 1", 5},
                             {"val_images", "|u1", "7, 4, 6", 168},
                             {"val_labels", "|u1", "7, 1", 7},
                             {"test_images", "|u1", "6, 4, 6", 144},
                             {"test_labels", "|u1", "6, 1", 6},
                             {NULL, NULL, NULL, 0}};
/* Labels of all kinds, before and after the pictures. */
static const array labelled[] = {
    {"y_train", "<i8", "5", 40},    {"onehot", "|u1", "5, 10", 50}, {"x_train", "|u1", "5, 4, 4, 3", 240},
    {"y_coarse", "|u1", "5, 1", 5}, {"z", "|u1", "5, 20", 100},     {"means", "<f4", "4, 4", 64},
    {NULL, NULL, NULL, 0}};

static result read_array(const char *file, const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s%s%s", scratch_path(file), *name ? ":" : "", name);
    return read_path(path);
}

static result read_as_stream(const char *file)
{
    size_t n;
    char *bytes = scratch_read(scratch_path(file), &n);
    result r = read_bytes(bytes, n);
    free(bytes);
    return r;
}

Test(image_npz, one_of_several)
{
    for (int deflate = 0; deflate < 2; deflate++) {
        scratch_make();
        put_npz(scratch_path("b.npz"), sets, deflate);
        result r = read_array("b.npz", "");
        cr_expect(r.status == WF_DATA && !r.count, "%d pictures", r.count);
        for (int i = 0; i < 6; i += 2)
            cr_expect(strstr(wf_error(), sets[i].name) && !strstr(wf_error(), sets[i + 1].name), "%s", wf_error());
        r = read_array("b.npz", "train_images");
        cr_expect(!r.status && r.count == 5 && r.last.H == 4 && r.last.pixels[0] == 't', "%d: %s", r.count, wf_error());
        wf_image_clear(&r.last);
        r = read_array("b.npz", "val_images");
        cr_expect(!r.status && r.count == 7 && r.last.pixels[0] == 'v', "%d: %s", r.count, wf_error());
        cr_expect_eq(r.passed.skipped + r.passed.labels, 0, "arrays that are not chosen do not count");
        wf_image_clear(&r.last);
        r = read_array("b.npz", "*_images");
        cr_expect(!r.status && r.count == 18, "%d: %s", r.count, wf_error());
        wf_image_clear(&r.last);
        r = read_array("b.npz", "*");
        cr_expect(!r.status && r.count == 18 && r.passed.labels == 3, "%d: %s", r.count, wf_error());
        wf_image_clear(&r.last);
        cr_expect(read_array("b.npz", "train_labels").status == WF_DATA && strstr(wf_error(), "labels"), "%s",
                  wf_error());
        cr_expect(read_array("b.npz", "x").status == WF_DATA && strstr(wf_error(), "train_images [5,4,6]"), "%s",
                  wf_error());
        cr_expect_eq(read_array("c.npz", "x").status, WF_NOINPUT, "%s", wf_error());
        r = read_as_stream("b.npz");
        cr_expect(r.status == WF_DATA && r.count == 5 && strstr(wf_error(), "after train_images"), "%s", wf_error());
        wf_image_clear(&r.last);
        scratch_remove();
    }
}

Test(image_npz, labels)
{
    scratch_make();
    put_npz(scratch_path("a.npz"), labelled, false);
    result r = read_array("a.npz", "");
    cr_expect(!r.status && r.count == 5 && r.last.C == 3 && r.passed.labels == 4 && r.passed.skipped == 1,
              "%d pictures, %d labels, %d others: %s", r.count, (int)r.passed.labels, (int)r.passed.skipped,
              wf_error());
    wf_image_clear(&r.last);
    cr_expect_eq(read_array("a.npz", "means").status, WF_DATA, "asked for by name");
    /* A folder of arrays, and one array by its name. */
    static heap h;
    cr_assert(!unlink(scratch_path("a.npz")));
    for (int i = 0; labelled[i].name; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s.npy", labelled[i].name);
        h.n = 0;
        put_npy(&h, &labelled[i]);
        if (i != 1 && i != 4) /* without the pictures' number, [5,10] may be a picture */
            scratch_write(scratch_path(name), h.bytes, h.n);
    }
    r = read_path(scratch);
    cr_expect(!r.status && r.count == 5 && r.passed.labels == 2 && r.passed.skipped == 1, "%d pictures, %d labels: %s",
              r.count, (int)r.passed.labels, wf_error());
    wf_image_clear(&r.last);
    cr_expect(read_path(scratch_path("y_coarse.npy")).status == WF_DATA && strstr(wf_error(), "labels"), "%s",
              wf_error());
    scratch_remove();
}

/* Arrays of other numbers are passed over; if nothing else comes, the first is named with what to do. */
Test(image_npz, other_numbers)
{
    static const struct {
        const char *descr, *advice;
        int bytes;
    } kinds[] = {
        {"<f4", "<f4, want pictures: |u1, <u2 or >u2 of 2 to 4 dimensions, or volumes; numbers of 0 to 1", 480},
        {"|b1", "masks: save 255*a", 120},
        {"<i8", "numbers of 0 to 255", 960}};
    scratch_make();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const array arrays[] = {{"x", kinds[i].descr, "5, 4, 6", kinds[i].bytes}, {NULL, NULL, NULL, 0}};
        put_npz(scratch_path("a.npz"), arrays, false);
        result r = read_array("a.npz", "");
        cr_expect(!r.status && !r.count && r.passed.skipped == 1 &&
                      strstr(r.passed.first, "a.npz:x.npy: NumPy array") && strstr(r.passed.first, kinds[i].advice),
                  "%s: %s", kinds[i].descr, r.passed.first);
        cr_expect(read_array("a.npz", "x").status == WF_DATA && strstr(wf_error(), kinds[i].advice), "%s", wf_error());
    }
    scratch_remove();
}

/* An array whose path exists as it is, with a colon in it. */
Test(image_npz, colon_in_a_name)
{
    static heap h;
    scratch_make();
    put_npy(&h, &sets[0]);
    scratch_write(scratch_path("a.npz:x"), h.bytes, h.n);
    put_npz(scratch_path("a.npz"), sets, false);
    result r = read_path(scratch_path("a.npz:x"));
    cr_expect(!r.status && r.count == 5, "%s", wf_error());
    wf_image_clear(&r.last);
    scratch_remove();
}

/* Rows that may be pictures are pointed out, and the array is still one picture. */
Test(image_npz, flat_pictures)
{
    static const struct {
        array array;
        int H, W;
        const char *remark;
    } cases[] = {{{"a", "|u1", "100, 784", 78400}, 100, 784, "a.reshape(100,28,28)"},
                 {{"a", "<u2", "10, 192", 3840}, 10, 192, "a.reshape(10,3,8,8)"},
                 {{"a", "|u1", "64, 64", 4096}, 64, 64, ""},
                 {{"a", "|u1", "20, 30", 600}, 20, 30, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static heap h;
        h.n = 0;
        put_npy(&h, &cases[i].array);
        result r = read_bytes(h.bytes, h.n);
        cr_assert(!r.status && r.count == 1 && r.last.H == cases[i].H && r.last.W == cases[i].W, "%s", wf_error());
        cr_expect(*cases[i].remark ? strstr(r.remark, cases[i].remark) != NULL : !*r.remark, "%zu: %s", i, r.remark);
        wf_image_clear(&r.last);
    }
}
