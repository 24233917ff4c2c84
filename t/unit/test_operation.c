
/*
 * operation: the tables are complete and each name in them finds its row again;
 * what paths are routes, and what id stands in them.
 */


#include "fingerprint.h"
#include "phota_fingerprint_field.h"


static const u_char *
test_bytes(const char *text)
{
    return (const u_char *) text;
}


static void
test_providers(void **state)
{
    unsigned                 i;
    const phota_provider_t  *p;

    (void) state;

    for (i = 0; i < PHOTA_PROVIDER_MAX; i++) {
        p = &phota_providers[i];

        assert_int_equal(p->id, i);
        assert_true(p->name.len && p->title.len && p->key_header.len);
        assert_ptr_equal(phota_provider_by_name(p->name.data, p->name.len),
                         p);
        assert_null(phota_provider_by_name(p->name.data, p->name.len - 1));
    }

    assert_string_equal(phota_providers[PHOTA_PROVIDER_PHOTA].key_header.data,
                        "X-API-Key");
    assert_string_equal(
        phota_providers[PHOTA_PROVIDER_PHOTIO].key_header.data,
        "X-Photio-Key");

    assert_null(phota_provider_by_name(test_bytes(""), 0));
    assert_null(phota_provider_by_name(test_bytes("PHOTA"), 5));
}


static void
test_fields(const phota_operation_t *op)
{
    unsigned              i, k, kinds[PHOTA_FIELD_SEED + 1];
    const phota_field_t  *field;

    memset(kinds, 0, sizeof(kinds));

    /* a bit of each is kept */

    assert_true(op->nfields > 0 && op->nfields <= 32);

    for (i = 0; i < op->nfields; i++) {
        field = &op->fields[i];

        assert_ptr_equal(phota_operation_field(op, field->name.data,
                                               field->name.len), field);
        assert_null(phota_operation_field(op, field->name.data,
                                          field->name.len - 1));
        kinds[field->kind]++;

        /* or no value could be known as it */

        assert_true(field->preset.len <= PHOTA_FP_TEXT);
        assert_false(field->number && field->preset.data == NULL);
        assert_false(field->required && field->kind != PHOTA_FIELD_IMAGE);

        if (field->kind == PHOTA_FIELD_SEED) {
            assert_true(field->number);
        }
    }

    /* there is one place in the scan for each of these */

    for (k = PHOTA_FIELD_PROMPT; k <= PHOTA_FIELD_SEED; k++) {
        assert_true(kinds[k] <= 1);
    }
}


static void
test_operations(void **state)
{
    unsigned                  i, k;
    phota_provider_e          other;
    const phota_operation_t  *op;

    (void) state;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        assert_int_equal(op->id, i);
        assert_string_equal(op->provider_name.data,
                            phota_providers[op->provider].name.data);
        assert_ptr_equal(phota_operation_by_name(op->provider, op->name.data,
                                                 op->name.len), op);
        assert_ptr_equal(phota_operation_by_label(op->label.data,
                                                  op->label.len), op);
        assert_string_equal(phota_operation_name(i), op->label.data);
        assert_int_not_equal(op->path.len, 0);
        assert_true(op->max_outputs >= 1);
        assert_true(op->answer == PHOTA_ANSWER_IMAGES
                    || op->max_outputs == 1);

        assert_ptr_equal(phota_operation_by_path(op->provider, op->path.data,
                                                 op->path.len), op);
        assert_null(phota_operation_by_path(op->provider, op->path.data,
                                            op->path.len - 1));

        for (k = 0; k < PHOTA_PROVIDER_MAX; k++) {
            other = (phota_provider_e) k;

            if (other != op->provider) {
                assert_null(phota_operation_by_path(other, op->path.data,
                                                    op->path.len));
            }
        }

        test_fields(op);
    }

    assert_null(phota_operation_by_name(PHOTA_PROVIDER_PHOTA,
                                        test_bytes("train"), 5));
    assert_null(phota_operation_by_path(PHOTA_PROVIDER_PHOTA, test_bytes(""),
                                        0));
    assert_string_equal(phota_operation_name(PHOTA_OP_MAX), "other");
    assert_string_equal(phota_operation_name(PHOTA_OP_OTHER), "other");
    assert_null(phota_operation_by_label(test_bytes("other"), 5));
}


/* one name, two vendors */

static void
test_labels(void **state)
{
    (void) state;

    assert_ptr_equal(phota_operation_by_name(PHOTA_PROVIDER_PHOTA,
                                             test_bytes("remix"), 5), REMIX);
    assert_ptr_equal(phota_operation_by_name(PHOTA_PROVIDER_PHOTIO,
                                             test_bytes("remix"), 5), PHOTIO);
    assert_null(phota_operation_by_name(PHOTA_PROVIDER_PHOTIO,
                                        test_bytes("enhance"), 7));
    assert_null(phota_operation_by_name(PHOTA_PROVIDER_PHOTIO,
                                        test_bytes("photio-remix"), 12));
    assert_null(phota_operation_by_name(PHOTA_PROVIDER_PHOTA,
                                        test_bytes("photio-remix"), 12));

    assert_string_equal(phota_operation_name(PHOTA_OP_REMIX), "remix");
    assert_string_equal(phota_operation_name(PHOTA_OP_PHOTIO_REMIX),
                        "photio-remix");
    assert_ptr_equal(phota_operation_by_label(test_bytes("remix"), 5), REMIX);
    assert_ptr_equal(phota_operation_by_label(test_bytes("photio-remix"), 12),
                     PHOTIO);

    assert_true(phota_operation_metered(EDIT, "gpt-image-2"));
    assert_false(phota_operation_metered(EDIT, ""));
    assert_false(phota_operation_metered(PHOTIO, "gpt-image-2"));
}


typedef struct {
    const char      *method;
    const char      *path;
    int              route;     /* -1: none */
    const char      *id;
} test_route_t;


static void
test_routed(phota_provider_e provider, const test_route_t *r, int expected)
{
    phota_str_t           id, method;
    const phota_route_t  *route;

    method.len = strlen(r->method);
    method.data = test_bytes(r->method);

    route = phota_route_find(provider, &method, test_bytes(r->path),
                             strlen(r->path), &id);

    if ((route ? (int) route->id : -1) != expected) {
        fail_msg("%s %s: %d", r->method, r->path,
                 route ? (int) route->id : -1);
    }

    if (route == NULL) {
        return;
    }

    assert_int_equal(route->named, r->id[0] != '\0');

    if (id.len != strlen(r->id) || memcmp(id.data, r->id, id.len) != 0) {
        fail_msg("%s %s: \"%.*s\"", r->method, r->path, (int) id.len,
                 (const char *) id.data);
    }
}


static void
test_routes(void **state)
{
    size_t  i;

    static const test_route_t  routes[] = {
        { "GET", "/v1/phota/jobs/j1", PHOTA_ROUTE_JOB, "j1" },
        { "HEAD", "/v1/phota/jobs/j1", PHOTA_ROUTE_JOB, "j1" },
        { "GET", "/v1/phota/jobs/ %?\xff", PHOTA_ROUTE_JOB, " %?\xff" },
        { "GET", "/v1/phota/webhook-secret", PHOTA_ROUTE_SECRET, "" },
        { "GET", "/v1/phota/profiles/ids", PHOTA_ROUTE_PROFILES, "" },
        { "HEAD", "/v1/phota/profiles/ids", PHOTA_ROUTE_PROFILES, "" },
        { "GET", "/v1/phota/profiles/p/status", PHOTA_ROUTE_PROFILE_STATUS,
          "p" },
        { "GET", "/v1/phota/profiles/ids/status", PHOTA_ROUTE_PROFILE_STATUS,
          "ids" },
        { "GET", "/v1/phota/profiles/status/status",
          PHOTA_ROUTE_PROFILE_STATUS, "status" },
        { "GET", "/v1/phota/profiles/p/profile_picture",
          PHOTA_ROUTE_PROFILE_PICTURE, "p" },
        { "DELETE", "/v1/phota/profiles/p", PHOTA_ROUTE_PROFILE_DELETE, "p" },
        { "DELETE", "/v1/phota/profiles/ids", PHOTA_ROUTE_PROFILE_DELETE,
          "ids" },

        { "GET", "", -1, "" },
        { "GET", "/", -1, "" },
        { "", "/v1/phota/jobs/j1", -1, "" },
        { "get", "/v1/phota/jobs/j1", -1, "" },
        { "GETS", "/v1/phota/jobs/j1", -1, "" },
        { "POST", "/v1/phota/jobs/j1", -1, "" },
        { "DELETE", "/v1/phota/jobs/j1", -1, "" },
        { "GET", "/v1/phota/jobs/", -1, "" },
        { "GET", "/v1/phota/jobs", -1, "" },
        { "GET", "/v1/phota/jobs/j/1", -1, "" },
        { "GET", "/v1/phota/jobs//", -1, "" },
        { "GET", "/v1/phota/webhook-secret/", -1, "" },
        { "GET", "/v1/phota/webhook-secrets", -1, "" },
        { "GET", "/v1/phota/profiles/ids/", -1, "" },
        { "GET", "/v1/phota/profiles/p", -1, "" },
        { "GET", "/v1/phota/profiles//status", -1, "" },
        { "GET", "/v1/phota/profiles/status", -1, "" },
        { "GET", "/v1/phota/profiles/a/b/status", -1, "" },
        { "GET", "/v1/phota/profiles/a/status/", -1, "" },
        { "DELETE", "/v1/phota/profiles/", -1, "" },
        { "DELETE", "/v1/phota/profiles/p/status", -1, "" },
        { "HEAD", "/v1/phota/profiles/p", -1, "" },
        { "GET", "/V1/phota/jobs/j1", -1, "" },
        { "GET", "/v1/phota/remix", -1, "" }
    };

    (void) state;

    for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        test_routed(PHOTA_PROVIDER_PHOTA, &routes[i], routes[i].route);
        test_routed(PHOTA_PROVIDER_PHOTIO, &routes[i], -1);
    }
}


/* a path in no more than one row, and none that is an operation's */

static void
test_route_table(void **state)
{
    char                  path[300];
    unsigned              i, k;
    phota_str_t           id;
    const phota_route_t  *route;

    (void) state;

    assert_int_equal(phota_nroutes, PHOTA_ROUTE_PROFILE_DELETE + 1);

    for (i = 0; i < phota_nroutes; i++) {
        route = &phota_routes[i];

        assert_int_equal(route->id, i);
        assert_true(route->name.len && route->method.len);
        assert_true(route->provider < PHOTA_PROVIDER_MAX);
        assert_true(route->named || route->after.len == 0);

        snprintf(path, sizeof(path), "%s%s%s", (char *) route->before.data,
                 route->named ? "x" : "", (char *) route->after.data);

        assert_ptr_equal(phota_route_find(route->provider, &route->method,
                                          test_bytes(path), strlen(path),
                                          &id), route);
        assert_null(phota_operation_by_path(route->provider,
                                            test_bytes(path), strlen(path)));

        for (k = 0; k < i; k++) {
            assert_string_not_equal(route->name.data,
                                    phota_routes[k].name.data);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_providers),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_route_table)
    };

    return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}
