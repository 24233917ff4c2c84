
/*
 * Tests for the cryptographic part: which key files are taken, that a sealed
 * key opens for its own tenant and version only, and that no mistyped token
 * passes its checksum.
 */


#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "phota_seal.h"


static char  dir[] = "/tmp/phota_seal.XXXXXX";
static char  path[64];


static int
setup(void **state)
{
    (void) state;

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    (void) snprintf(path, sizeof(path), "%s/master.key", dir);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    (void) unlink(path);

    return rmdir(dir);
}


static void
file(const char *text, mode_t mode)
{
    int  fd;

    (void) unlink(path);

    fd = open(path, O_WRONLY|O_CREAT|O_EXCL, 0600);
    assert_true(fd != -1);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    assert_int_equal(chmod(path, mode), 0);
}


static void
master_created(void **state)
{
    struct stat     st;
    phota_error_t   err;
    phota_master_t  one, two;

    (void) state;

    (void) unlink(path);

    assert_int_equal(phota_master_create(path, &err), PHOTA_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(phota_master_read(&one, path, &err), PHOTA_OK);

    /* never over an old one */

    assert_int_equal(phota_master_create(path, &err), PHOTA_REFUSED);
    assert_int_equal(phota_master_read(&two, path, &err), PHOTA_OK);
    assert_memory_equal(&one, &two, sizeof(one));

    (void) unlink(path);
    assert_int_equal(phota_master_create(path, &err), PHOTA_OK);
    assert_int_equal(phota_master_read(&two, path, &err), PHOTA_OK);
    assert_memory_not_equal(&one, &two, sizeof(one));
}


/* who dies while he writes leaves no short file under the name */

static void
master_killed(void **state)
{
    int             status;
    char            text[80];
    pid_t           pid;
    size_t          i;
    glob_t          found;
    phota_error_t   err;
    struct rlimit   limit;
    phota_master_t  master;

    (void) state;

    (void) unlink(path);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        memset(&limit, 0, sizeof(limit));
        (void) setrlimit(RLIMIT_CORE, &limit);
        limit.rlim_cur = 10;
        limit.rlim_max = 10;

        if (setrlimit(RLIMIT_FSIZE, &limit) == 0) {
            (void) phota_master_create(path, &err);
        }

        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));

    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(errno, ENOENT);

    assert_int_equal(phota_master_create(path, &err), PHOTA_OK);
    assert_int_equal(phota_master_read(&master, path, &err), PHOTA_OK);

    /* what it left is its own */

    (void) snprintf(text, sizeof(text), "%s.*", path);
    assert_int_equal(glob(text, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);

    for (i = 0; i < found.gl_pathc; i++) {
        (void) unlink(found.gl_pathv[i]);
    }

    globfree(&found);
}


static void
master_modes(void **state)
{
    unsigned        i;
    phota_error_t   err;
    phota_master_t  master;

    static const struct {
        mode_t  mode;
        int     rc;
    } modes[] = {
        { 0600, PHOTA_OK },
        { 0400, PHOTA_OK },
        { 0640, PHOTA_OK },
        { 0440, PHOTA_OK },
        { 0700, PHOTA_OK },
        { 0620, PHOTA_INVALID },
        { 0660, PHOTA_INVALID },
        { 0604, PHOTA_INVALID },
        { 0602, PHOTA_INVALID },
        { 0644, PHOTA_INVALID },
        { 0666, PHOTA_INVALID }
    };

    (void) state;

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        file("000102030405060708090a0b0c0d0e0f"
             "101112131415161718191A1B1C1D1E1F\n", modes[i].mode);

        err.text[0] = '\0';
        assert_int_equal(phota_master_read(&master, path, &err),
                         modes[i].rc);

        if (modes[i].rc == PHOTA_OK) {
            assert_int_equal(master.b[0], 0);
            assert_int_equal(master.b[31], 31);

        } else {
            assert_non_null(strstr(err.text, "mode 0"));
        }
    }
}


static void
master_text(void **state)
{
    unsigned        i;
    phota_error_t   err;
    phota_master_t  master;

#define HEX63  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeef"

    static const struct {
        const char  *text;
        int          rc;
    } texts[] = {
        { HEX63 "f", PHOTA_OK },
        { HEX63 "f\n", PHOTA_OK },
        { HEX63 "f\r\n", PHOTA_OK },
        { HEX63 "f\n\n", PHOTA_INVALID },
        { HEX63 "f ", PHOTA_INVALID },
        { HEX63 "ff", PHOTA_INVALID },
        { HEX63, PHOTA_INVALID },
        { HEX63 "\n", PHOTA_INVALID },
        { HEX63 "g", PHOTA_INVALID },
        { HEX63 "f" HEX63 "f\n", PHOTA_INVALID },
        { "", PHOTA_INVALID },
        { "\n", PHOTA_INVALID }
    };

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        file(texts[i].text, 0600);
        assert_int_equal(phota_master_read(&master, path, &err),
                         texts[i].rc);
    }
}


static void
master_kinds(void **state)
{
    phota_error_t   err;
    phota_master_t  master;

    (void) state;

    (void) unlink(path);
    assert_int_equal(phota_master_read(&master, path, &err), PHOTA_INVALID);
    assert_int_equal(phota_master_read(&master, dir, &err), PHOTA_INVALID);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(phota_master_read(&master, path, &err), PHOTA_INVALID);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(phota_master_read(&master, path, NULL), PHOTA_INVALID);
}


static void
derived(void **state)
{
    u_char          a[32], b[32], other[64];
    phota_master_t  master;

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));
    memset(master.b, 7, PHOTA_MASTER_LEN);

    assert_int_equal(phota_master_derive(&master, "seal", a, 32), PHOTA_OK);
    assert_int_equal(phota_master_derive(&master, "seal", b, 32), PHOTA_OK);
    assert_memory_equal(a, b, 32);

    assert_int_equal(phota_master_derive(&master, "urls", b, 32), PHOTA_OK);
    assert_memory_not_equal(a, b, 32);

    /* HKDF: a longer output begins with the shorter one */

    assert_int_equal(phota_master_derive(&master, "seal", other, 64),
                     PHOTA_OK);
    assert_memory_equal(a, other, 32);

    master.b[0] ^= 1;
    assert_int_equal(phota_master_derive(&master, "seal", b, 32), PHOTA_OK);
    assert_memory_not_equal(a, b, 32);
}


static void
hashed(void **state)
{
    char    hex[2 * PHOTA_SHA256_LEN + 1];
    u_char  digest[PHOTA_SHA256_LEN];

    (void) state;

    assert_int_equal(phota_sha256(digest, "abc", 3), PHOTA_OK);
    phota_hex_format(hex, digest, sizeof(digest));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad");

    assert_int_equal(phota_sha256(digest, "", 0), PHOTA_OK);
    phota_hex_format(hex, digest, sizeof(digest));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
                             "27ae41e4649b934ca495991b7852b855");

    assert_int_equal(phota_memcmp("abc", "abc", 3), 0);
    assert_int_not_equal(phota_memcmp("abc", "abd", 3), 0);
}


static const phota_seal_t *
to(uint32_t tenant, uint32_t version)
{
    static phota_seal_t  bound;

    bound.tenant = tenant;
    bound.version = version;
    bound.provider = 0;
    bound.what = 1;

    return &bound;
}


static void
sealed(void **state)
{
    size_t          i, n, len;
    u_char          key[PHOTA_KEY_MAX + 1], box[PHOTA_SEALED_MAX];
    u_char          again[PHOTA_SEALED_MAX], plain[PHOTA_KEY_MAX];
    phota_master_t  master;

    static const size_t  lens[] = { 0, 1, 15, 16, 17, 40, PHOTA_KEY_MAX };

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));
    memset(master.b, 9, PHOTA_MASTER_LEN);

    for (i = 0; i < sizeof(key); i++) {
        key[i] = 'a' + i % 26;
    }

    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        len = sizeof(box);
        assert_int_equal(phota_seal(&master, to(3, 1), key, lens[i], box, &len),
                         PHOTA_OK);
        assert_int_equal(len, lens[i] + 32);

        n = sizeof(plain);
        assert_int_equal(phota_unseal(&master, to(3, 1), box, len, plain, &n),
                         PHOTA_OK);
        assert_int_equal(n, lens[i]);
        assert_memory_equal(plain, key, n);

        /* a nonce is never used twice */

        len = sizeof(again);
        assert_int_equal(phota_seal(&master, to(3, 1), key, lens[i], again,
                                    &len), PHOTA_OK);
        assert_memory_not_equal(box + 4, again + 4, len - 4);
    }

    /* no room, too long */

    len = sizeof(box);
    assert_int_equal(phota_seal(&master, to(3, 1), key, PHOTA_SEAL_MAX + 1,
                                box, &len), PHOTA_ERROR);
    len = 71;
    assert_int_equal(phota_seal(&master, to(3, 1), key, 40, box, &len),
                     PHOTA_ERROR);
    len = 72;
    assert_int_equal(phota_seal(&master, to(3, 1), key, 40, box, &len),
                     PHOTA_OK);
    n = 39;
    assert_int_equal(phota_unseal(&master, to(3, 1), box, len, plain, &n),
                     PHOTA_ERROR);
}


static void
sealed_refused(void **state)
{
    size_t          i, n, len;
    u_char          box[PHOTA_SEALED_MAX], plain[PHOTA_KEY_MAX];
    unsigned        bit;
    phota_seal_t    bound;
    phota_master_t  master, other;

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));
    memset(master.b, 9, PHOTA_MASTER_LEN);
    other = master;
    other.b[31] ^= 0x80;

    len = sizeof(box);
    assert_int_equal(phota_seal(&master, to(3, 2),
                                (u_char *) "upstream-key", 12, box, &len),
                     PHOTA_OK);

    n = sizeof(plain);
    assert_int_equal(phota_unseal(&other, to(3, 2), box, len, plain, &n),
                     PHOTA_INVALID);
    assert_int_equal(phota_unseal(&master, to(4, 2), box, len, plain, &n),
                     PHOTA_INVALID);
    assert_int_equal(phota_unseal(&master, to(0, 2), box, len, plain, &n),
                     PHOTA_INVALID);
    assert_int_equal(phota_unseal(&master, to(3, 1), box, len, plain, &n),
                     PHOTA_INVALID);

    /* another provider's, or of another kind */

    bound = *to(3, 2);
    bound.provider = 1;
    assert_int_equal(phota_unseal(&master, &bound, box, len, plain, &n),
                     PHOTA_INVALID);

    bound = *to(3, 2);
    bound.what = 0;
    assert_int_equal(phota_unseal(&master, &bound, box, len, plain, &n),
                     PHOTA_INVALID);

    /* an older box under a newer number */

    box[0] = 3;
    assert_int_equal(phota_unseal(&master, to(3, 3), box, len, plain, &n),
                     PHOTA_INVALID);
    box[0] = 2;

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {
            box[i] ^= 1 << bit;
            assert_int_equal(phota_unseal(&master, to(3, 2), box, len, plain,
                                          &n), PHOTA_INVALID);
            box[i] ^= 1 << bit;
        }
    }

    for (i = 0; i < len; i++) {
        assert_int_equal(phota_unseal(&master, to(3, 2), box, i, plain, &n),
                         PHOTA_INVALID);
    }

    /* what didn't open leaves nothing behind */

    memset(plain, 'x', sizeof(plain));
    box[len - 1] ^= 1;
    assert_int_equal(phota_unseal(&master, to(3, 2), box, len, plain, &n),
                     PHOTA_INVALID);
    assert_memory_equal(plain, "\0\0\0\0\0\0\0\0\0\0\0\0xxxx", 16);
    box[len - 1] ^= 1;

    assert_int_equal(phota_unseal(&master, to(3, 2), box, len, plain, &n),
                     PHOTA_OK);
}


static void
token_form(void **state)
{
    char     token[PHOTA_TOKEN_LEN + 1], other[PHOTA_TOKEN_LEN + 1];
    u_char   digest[PHOTA_SHA256_LEN], found[PHOTA_SHA256_LEN];
    u_char  *p;

    (void) state;

    assert_int_equal(phota_token_create(token, digest), PHOTA_OK);
    assert_int_equal(strlen(token), PHOTA_TOKEN_LEN);
    assert_memory_equal(token, "phg_", 4);
    assert_int_equal(token[47], '_');
    assert_int_equal(strspn(token + 48, "0123456789abcdefghijklmnopqrstuvwxyz"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 6);

    p = (u_char *) token;

    assert_int_equal(phota_token_digest(p, PHOTA_TOKEN_LEN, found), PHOTA_OK);
    assert_memory_equal(digest, found, sizeof(digest));
    assert_int_equal(phota_sha256(found, token, PHOTA_TOKEN_LEN), PHOTA_OK);
    assert_memory_equal(digest, found, sizeof(digest));

    assert_int_equal(phota_token_digest(p, PHOTA_TOKEN_LEN - 1, found),
                     PHOTA_INVALID);
    assert_int_equal(phota_token_digest(p, PHOTA_TOKEN_LEN + 1, found),
                     PHOTA_INVALID);
    assert_int_equal(phota_token_digest(p, 0, found), PHOTA_INVALID);

    assert_int_equal(phota_token_create(other, digest), PHOTA_OK);
    assert_string_not_equal(token, other);

    /* a known one: the form must not change under those already issued */

    p = (u_char *) "phg_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_"
                   "43QJni";
    assert_int_equal(phota_token_digest(p, PHOTA_TOKEN_LEN, found), PHOTA_OK);
}


static void
token_typos(void **state)
{
    int              n, i;
    char             token[PHOTA_TOKEN_LEN + 1], c;
    u_char           digest[PHOTA_SHA256_LEN], found[PHOTA_SHA256_LEN];
    u_char          *p;
    const char      *wrong;

    static const char  chars[] = "0123456789-_"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/=. \n\xff";

    (void) state;

    p = (u_char *) token;

    for (n = 0; n < 200; n++) {
        assert_int_equal(phota_token_create(token, digest), PHOTA_OK);

        for (i = 0; i < PHOTA_TOKEN_LEN; i++) {
            c = token[i];

            for (wrong = chars; *wrong; wrong++) {
                if (*wrong == c) {
                    continue;
                }

                token[i] = *wrong;

                if (phota_token_digest(p, PHOTA_TOKEN_LEN, found)
                    != PHOTA_INVALID)
                {
                    fail_msg("\"%s\" passes with %d changed", token, i);
                }
            }

            token[i] = c;

            if (i + 1 == PHOTA_TOKEN_LEN || token[i + 1] == c) {
                continue;
            }

            token[i] = token[i + 1];
            token[i + 1] = c;

            if (phota_token_digest(p, PHOTA_TOKEN_LEN, found)
                != PHOTA_INVALID)
            {
                fail_msg("\"%s\" passes with %d swapped", token, i);
            }

            token[i + 1] = token[i];
            token[i] = c;
        }

        assert_int_equal(phota_token_digest(p, PHOTA_TOKEN_LEN, found),
                         PHOTA_OK);
        assert_memory_equal(digest, found, sizeof(digest));
    }
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(master_created),
        cmocka_unit_test(master_killed),
        cmocka_unit_test(master_modes),
        cmocka_unit_test(master_text),
        cmocka_unit_test(master_kinds),
        cmocka_unit_test(derived),
        cmocka_unit_test(hashed),
        cmocka_unit_test(sealed),
        cmocka_unit_test(sealed_refused),
        cmocka_unit_test(token_form),
        cmocka_unit_test(token_typos)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
