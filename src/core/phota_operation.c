
/*
 * The operation table: the four image calls of Phota and the training of
 * profiles, their paths, what each field of their bodies means to the gateway,
 * and what they are priced as.  Data; the functions only look things up in it.
 */


#include "phota_operation.h"

#include <string.h>


#define phota_field(name, kind)                                               \
    { phota_string(name), kind, 0, { 0, NULL } }

#define phota_field_required(name, kind)                                      \
    { phota_string(name), kind, 1, { 0, NULL } }

#define phota_field_preset(name, kind, preset)                                \
    { phota_string(name), kind, 0, phota_string(preset) }

/*
 * What all four take.  output_format has no preset: its default changed on
 * a date, so absence is a value of its own.
 */

#define phota_fields_common                                                   \
    phota_field_preset("prompt", PHOTA_FIELD_PROMPT, ""),                     \
    phota_field("num_output_images", PHOTA_FIELD_COUNT),                      \
    phota_field("output_format", PHOTA_FIELD_PLAIN),                          \
    phota_field("response_mode", PHOTA_FIELD_MODE),                           \
    phota_field("async", PHOTA_FIELD_ASYNC),                                  \
    phota_field("callback_url", PHOTA_FIELD_IGNORED),                         \
    phota_field("client_request_id", PHOTA_FIELD_IGNORED)

/* where the caller chooses how the picture is made; quality: as above */

#define phota_fields_choice                                                   \
    phota_field_preset("base_model", PHOTA_FIELD_MODEL, "nb2"),               \
    phota_field_preset("resolution", PHOTA_FIELD_RESOLUTION, "1K"),           \
    phota_field_preset("aspect_ratio", PHOTA_FIELD_PLAIN, "auto"),            \
    phota_field("quality", PHOTA_FIELD_PLAIN)

/* where they aren't accepted: no default can be certain */

#define phota_fields_fixed                                                    \
    phota_field("base_model", PHOTA_FIELD_PLAIN),                             \
    phota_field("resolution", PHOTA_FIELD_PLAIN),                             \
    phota_field("aspect_ratio", PHOTA_FIELD_PLAIN)


#define phota_nfields(fields)  sizeof(fields) / sizeof(phota_field_t)


static const phota_field_t  phota_remix_fields[] = {
    phota_field_required("input_image", PHOTA_FIELD_IMAGE),
    phota_field_required("reference_image", PHOTA_FIELD_IMAGE),
    phota_field("profile_ids", PHOTA_FIELD_PROFILES),
    phota_fields_common,
    phota_fields_fixed
};


static const phota_field_t  phota_enhance_fields[] = {
    phota_field_required("image", PHOTA_FIELD_IMAGE),
    phota_field("profile_ids", PHOTA_FIELD_PROFILES),
    phota_fields_common,
    phota_fields_fixed
};


static const phota_field_t  phota_edit_fields[] = {
    phota_field("images", PHOTA_FIELD_IMAGES),
    phota_field("profile_ids", PHOTA_FIELD_PROFILES),
    phota_fields_common,
    phota_fields_choice
};


/*
 * generate documents no profile_ids.  Should the upstream take them all the
 * same, the hold has to reach the identity rate; should it ignore or refuse
 * them, reading them as a set makes no two purchases one.
 */

static const phota_field_t  phota_generate_fields[] = {
    phota_field("profile_ids", PHOTA_FIELD_PROFILES),
    phota_fields_common,
    phota_fields_choice
};


/* it costs by the tier, as pictures do by the model */

static const phota_field_t  phota_training_fields[] = {
    phota_field_preset("training_tier", PHOTA_FIELD_MODEL, "standard")
};


/* what the answer doesn't tell the price of, for it counts no tokens */

static const phota_str_t  phota_metered[] = {
    phota_string("gpt-image-2")
};


const phota_operation_t  phota_operations[] = {

    { .id = PHOTA_OP_REMIX,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("remix"),
      .path = phota_string("/v1/phota/remix"),
      .fields = phota_remix_fields,
      .nfields = phota_nfields(phota_remix_fields),
      .max_outputs = 4,
      .cached = 1,
      .model = phota_string("nb2"),
      .resolution = phota_string("2K") },

    { .id = PHOTA_OP_ENHANCE,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("enhance"),
      .path = phota_string("/v1/phota/enhance"),
      .fields = phota_enhance_fields,
      .nfields = phota_nfields(phota_enhance_fields),
      .max_outputs = 4,
      .cached = 1,
      .model = phota_string("nb2"),
      .resolution = phota_string("2K") },

    { .id = PHOTA_OP_EDIT,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("edit"),
      .path = phota_string("/v1/phota/edit"),
      .fields = phota_edit_fields,
      .nfields = phota_nfields(phota_edit_fields),
      .max_outputs = 4,
      .cached = 0,
      .model = phota_string("nb2"),
      .resolution = phota_string("1K") },

    { .id = PHOTA_OP_GENERATE,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("generate"),
      .path = phota_string("/v1/phota/generate"),
      .fields = phota_generate_fields,
      .nfields = phota_nfields(phota_generate_fields),
      .max_outputs = 4,
      .cached = 0,
      .model = phota_string("nb2"),
      .resolution = phota_string("1K") },

    { .id = PHOTA_OP_TRAINING,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("training"),
      .path = phota_string(""),
      .fields = phota_training_fields,
      .nfields = phota_nfields(phota_training_fields),
      .max_outputs = 1,
      .cached = 0,
      .model = phota_string("standard"),
      .resolution = phota_string("") }
};


static int
phota_str_equal(const phota_str_t *s, const u_char *p, size_t len)
{
    return s->len == len && memcmp(s->data, p, len) == 0;
}


const phota_operation_t *
phota_operation_by_path(phota_provider_e provider, const u_char *path,
    size_t len)
{
    unsigned                  i;
    const phota_operation_t  *op;

    /* an operation without a path isn't bought by one */

    if (len == 0) {
        return NULL;
    }

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        if (op->provider == provider && phota_str_equal(&op->path, path, len))
        {
            return op;
        }
    }

    return NULL;
}


const phota_operation_t *
phota_operation_by_name(phota_provider_e provider, const u_char *name,
    size_t len)
{
    unsigned                  i;
    const phota_operation_t  *op;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        if (op->provider == provider && phota_str_equal(&op->name, name, len))
        {
            return op;
        }
    }

    return NULL;
}


const char *
phota_operation_name(unsigned operation)
{
    if (operation >= PHOTA_OP_MAX) {
        return "other";
    }

    return (const char *) phota_operations[operation].name.data;
}


int
phota_operation_metered(const phota_operation_t *op, const char *model)
{
    size_t    len;
    unsigned  i, chooses;

    chooses = 0;

    for (i = 0; i < op->nfields; i++) {
        chooses |= (op->fields[i].kind == PHOTA_FIELD_MODEL);
    }

    if (!chooses) {
        return 0;
    }

    if (model[0] == '\0') {
        model = (const char *) op->model.data;
    }

    len = strlen(model);

    for (i = 0; i < sizeof(phota_metered) / sizeof(phota_str_t); i++) {
        if (phota_str_equal(&phota_metered[i], (const u_char *) model, len)) {
            return 1;
        }
    }

    return 0;
}


const phota_field_t *
phota_operation_field(const phota_operation_t *op, const u_char *name,
    size_t len)
{
    unsigned  i;

    for (i = 0; i < op->nfields; i++) {

        if (phota_str_equal(&op->fields[i].name, name, len)) {
            return &op->fields[i];
        }
    }

    return NULL;
}
