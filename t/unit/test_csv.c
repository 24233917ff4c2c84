
/*
 * photactl's reader of CSV: what RFC 4180 allows comes out as it was meant,
 * anything else is refused with its line, and no input is too long for it.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/command/photactl_csv.c"


static photactl_csv_t  csv;
static phota_error_t   err;
static FILE           *file;


static int
csv_text(const char *text, size_t len)
{
    file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    rewind(file);

    memset(&err, 0, sizeof(err));

    return photactl_csv_attach(&csv, file, "bill.csv", &err);
}


static void
csv_end(void)
{
    photactl_csv_close(&csv);
    (void) fclose(file);
}


static void
csv_row(uint64_t line, unsigned n, ...)
{
    va_list      args;
    unsigned     i;
    const char  *text;

    assert_int_equal(photactl_csv_next(&csv, &err), PHOTA_OK);
    assert_int_equal(csv.line, line);
    assert_int_equal(csv.nfields, n);

    va_start(args, n);

    for (i = 0; i < n; i++) {
        text = va_arg(args, const char *);
        assert_string_equal(csv.fields[i].text, text);
        assert_int_equal(csv.fields[i].len, strlen(text));
    }

    va_end(args);
}


static void
csv_refused(const char *text, size_t len, const char *said)
{
    int  rc;

    rc = csv_text(text, len);

    while (rc == PHOTA_OK) {
        rc = photactl_csv_next(&csv, &err);
    }

    assert_int_equal(rc, PHOTA_INVALID);

    if (strstr(err.text, said) == NULL) {
        fail_msg("\"%s\" doesn't say \"%s\"", err.text, said);
    }

    csv_end();
}


static void
test_rows(void **state)
{
    static const char  text[] =
        "\xef\xbb\xbf" "id,\"amount, USD\",\"a \"\"note\"\"\"\r\n"
        "req_1,0.12,\r\n"
        "\r\n"
        "\"req,2\",\"0.24\",\"two\r\nlines\"\n"
        "\n"
        ",,\"\"\n"
        "last,1,no end";

    (void) state;

    assert_int_equal(csv_text(text, sizeof(text) - 1), PHOTA_OK);

    assert_int_equal(photactl_csv_column(&csv, "id", &err), 0);
    assert_int_equal(photactl_csv_column(&csv, "amount, USD", &err), 1);
    assert_int_equal(photactl_csv_column(&csv, "a \"note\"", &err), 2);
    assert_int_equal(photactl_csv_column(&csv, "ID", &err), PHOTA_DECLINED);
    assert_non_null(strstr(err.text, "no column \"ID\""));

    csv_row(2, 3, "req_1", "0.12", "");
    csv_row(4, 3, "req,2", "0.24", "two\r\nlines");
    csv_row(7, 3, "", "", "");

    assert_int_equal(photactl_csv_bad(&csv, 1, &err, "not %s", "money"),
                     PHOTA_INVALID);
    assert_string_equal(err.text, "\"bill.csv\" line 7, column \"amount, "
                                  "USD\": not money");

    csv_row(8, 3, "last", "1", "no end");
    assert_int_equal(photactl_csv_next(&csv, &err), PHOTA_DECLINED);
    assert_int_equal(photactl_csv_next(&csv, &err), PHOTA_DECLINED);

    csv_end();
}


#define csv_bad(text, said)  csv_refused(text, sizeof(text) - 1, said)


static void
test_refused(void **state)
{
    (void) state;

    csv_bad("", "empty");
    csv_bad("\n\r\n", "empty");
    csv_bad("\xff\xfei\0d\0", "UTF-16");
    csv_bad("id\n\0", "line 2, byte 1: a NUL");
    csv_bad("id,a\n1,2\n3\n", "line 3: 1 fields, and 2 in the header");
    csv_bad("id,a\n1,2,3\n", "line 2: 3 fields");
    csv_bad("id,a\n1,x\"2\"\n", "line 2, byte 4: a quote in a field");
    csv_bad("id,a\n1,\"2\"x\n", "line 2, byte 6: text behind");
    csv_bad("id,a\n1,\"2\" \n", "text behind");
    csv_bad("id,a\n1,2\n\"3,4\n5,6\n", "line 3: a quote in this row");
    csv_bad("id,a\n\"", "line 2: a quote in this row");
    csv_bad("id,a\r1,2\r", "line 1, byte 6: a CR without");
    csv_bad("id;a\n1,2\n", "line 2: 2 fields, and 1");
}


static void
test_two_columns(void **state)
{
    (void) state;

    assert_int_equal(csv_text("id,a,id\n", 8), PHOTA_OK);
    assert_int_equal(photactl_csv_column(&csv, "a", &err), 1);
    assert_int_equal(photactl_csv_column(&csv, "id", &err), PHOTA_INVALID);
    assert_non_null(strstr(err.text, "two columns \"id\""));
    csv_end();
}


/* at every limit: what just fits and what is one too much */

static void
test_limits(void **state)
{
    char    *text;
    size_t   len, i, n;

    (void) state;

    text = malloc(4 * PHOTACTL_CSV_ROW);
    assert_non_null(text);

    memcpy(text, "i\n", 2);
    memset(text + 2, 'x', PHOTACTL_CSV_FIELD + 1);

    assert_int_equal(csv_text(text, PHOTACTL_CSV_FIELD + 2), PHOTA_OK);
    assert_int_equal(photactl_csv_next(&csv, &err), PHOTA_OK);
    assert_int_equal(csv.fields[0].len, PHOTACTL_CSV_FIELD);
    csv_end();

    csv_refused(text, PHOTACTL_CSV_FIELD + 3, "more than 4096 bytes");

    memset(text, ',', PHOTACTL_CSV_FIELDS);
    assert_int_equal(csv_text(text, PHOTACTL_CSV_FIELDS - 1), PHOTA_OK);
    csv_end();

    csv_refused(text, PHOTACTL_CSV_FIELDS, "too many fields");

    /* a row that is filled to its last byte, and empty fields after it */

    for (n = PHOTACTL_CSV_ROW - 3; n < PHOTACTL_CSV_ROW + 3; n++) {
        len = 0;

        for (i = 0; len < n; i++) {
            text[len++] = (i % PHOTACTL_CSV_FIELD == 0) ? ',' : 'x';
        }

        text[len++] = ',';
        text[len++] = ',';

        if (csv_text(text, len) == PHOTA_OK) {
            csv_end();
            continue;
        }

        assert_non_null(strstr(err.text, "more than 64 KB"));
        csv_end();
    }

    free(text);
}


/* a row may cross the buffer's end at any of its bytes */

static void
test_buffer(void **state)
{
    char      *text;
    size_t     shift, len, n;
    unsigned   rows;

    static const char  row[] = "\"a\"\"b\",\"c\nd\"\r\n";

    (void) state;

    text = malloc(3 * PHOTACTL_CSV_BUFFER);
    assert_non_null(text);

    for (shift = 0; shift < sizeof(row); shift++) {
        memcpy(text, "x,y", 3);
        memset(text + 3, 'y', shift);
        len = 3 + shift;
        text[len++] = '\n';

        for (n = 0; len < 2 * PHOTACTL_CSV_BUFFER; n++) {
            memcpy(text + len, row, sizeof(row) - 1);
            len += sizeof(row) - 1;
        }

        assert_int_equal(csv_text(text, len), PHOTA_OK);

        for (rows = 0; photactl_csv_next(&csv, &err) == PHOTA_OK; rows++) {
            assert_string_equal(csv.fields[0].text, "a\"b");
            assert_string_equal(csv.fields[1].text, "c\nd");
            assert_int_equal(csv.line, 2 + 2 * rows);
        }

        assert_int_equal(rows, n);
        csv_end();
    }

    free(text);
}


static void
test_files(void **state)
{
    (void) state;

    assert_int_equal(photactl_csv_open(&csv, "/nonexistent/bill.csv", &err),
                     PHOTA_ERROR);
    assert_non_null(strstr(err.text, "can't be read: No such file"));
    photactl_csv_close(&csv);

    assert_int_equal(photactl_csv_open(&csv, "/", &err), PHOTA_ERROR);
    assert_non_null(strstr(err.text, "can't be read"));
    photactl_csv_close(&csv);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_two_columns),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_files)
    };

    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
