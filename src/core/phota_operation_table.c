
/*
 * The tables: the calls of Phota and of Photio, their paths, what each field
 * of their bodies means to the gateway, and what they are priced as; what
 * passes a door besides; who the vendors are.  Nothing but data.
 */


#include "phota_operation.h"


#define phota_field(name, kind)                                               \
    { phota_string(name), kind, 0, { 0, NULL }, 0 }

#define phota_field_required(name, kind)                                      \
    { phota_string(name), kind, 1, { 0, NULL }, 0 }

#define phota_field_preset(name, kind, preset)                                \
    { phota_string(name), kind, 0, phota_string(preset), 0 }

#define phota_field_number(name, kind, preset)                                \
    { phota_string(name), kind, 0, phota_string(preset), 1 }

/*
 * What Phota's four take.  output_format has no preset: its default changed on
 * a date, so absence is a value of its own.
 */

#define phota_fields_common                                                   \
    phota_field_preset("prompt", PHOTA_FIELD_PROMPT, ""),                     \
    phota_field("num_output_images", PHOTA_FIELD_COUNT),                      \
    phota_field("output_format", PHOTA_FIELD_PLAIN),                          \
    phota_field("response_mode", PHOTA_FIELD_MODE),                           \
    phota_field("async", PHOTA_FIELD_ASYNC),                                  \
    phota_field("callback_url", PHOTA_FIELD_CALLBACK),                        \
    phota_field("client_request_id", PHOTA_FIELD_REQUEST_ID)

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
    phota_field("image_urls", PHOTA_FIELD_PLAIN),
    phota_field_preset("training_tier", PHOTA_FIELD_MODEL, "standard"),
    phota_field("tag", PHOTA_FIELD_TAG)
};


/* it knows no profiles: brackets in its prompt are text */

static const phota_field_t  photio_remix_fields[] = {
    phota_field_required("product_image", PHOTA_FIELD_IMAGE),
    phota_field_required("ref_image", PHOTA_FIELD_IMAGE),
    phota_field("prompt", PHOTA_FIELD_PLAIN),
    phota_field_preset("negative_prompt", PHOTA_FIELD_PLAIN,
                       "worst quality, low quality, illustration, 3d, 2d, "
                       "painting, cartoons, sketch"),
    phota_field_number("seed", PHOTA_FIELD_SEED, "-1"),
    phota_field_number("cfg_scale", PHOTA_FIELD_PLAIN, "1.75"),
    phota_field_number("outline_fidelity", PHOTA_FIELD_PLAIN, "1"),
    phota_field_number("style_fidelity", PHOTA_FIELD_PLAIN, "0.7")
};


static const phota_str_t  phota_metered[] = {
    phota_string("gpt-image-2")
};


const phota_provider_t  phota_providers[] = {

    { .id = PHOTA_PROVIDER_PHOTA,
      .name = phota_string("phota"),
      .title = phota_string("Phota"),
      .key_header = phota_string("X-API-Key"),
      .metered = phota_metered,
      .nmetered = sizeof(phota_metered) / sizeof(phota_str_t) },

    { .id = PHOTA_PROVIDER_PHOTIO,
      .name = phota_string("photio"),
      .title = phota_string("Photio"),
      .key_header = phota_string("X-Photio-Key") }
};

_Static_assert(sizeof(phota_providers) / sizeof(phota_provider_t)
               == PHOTA_PROVIDER_MAX, "a provider is missing");


const phota_operation_t  phota_operations[] = {

    { .id = PHOTA_OP_REMIX,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("remix"),
      .label = phota_string("remix"),
      .path = phota_string("/v1/phota/remix"),
      .fields = phota_remix_fields,
      .nfields = phota_nfields(phota_remix_fields),
      .answer = PHOTA_ANSWER_IMAGES,
      .max_outputs = 4,
      .cached = 1,
      .model = phota_string("nb2"),
      .resolution = phota_string("2K") },

    { .id = PHOTA_OP_ENHANCE,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("enhance"),
      .label = phota_string("enhance"),
      .path = phota_string("/v1/phota/enhance"),
      .fields = phota_enhance_fields,
      .nfields = phota_nfields(phota_enhance_fields),
      .answer = PHOTA_ANSWER_IMAGES,
      .max_outputs = 4,
      .cached = 1,
      .model = phota_string("nb2"),
      .resolution = phota_string("2K") },

    { .id = PHOTA_OP_EDIT,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("edit"),
      .label = phota_string("edit"),
      .path = phota_string("/v1/phota/edit"),
      .fields = phota_edit_fields,
      .nfields = phota_nfields(phota_edit_fields),
      .answer = PHOTA_ANSWER_IMAGES,
      .max_outputs = 4,
      .cached = 0,
      .model = phota_string("nb2"),
      .resolution = phota_string("1K") },

    { .id = PHOTA_OP_GENERATE,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("generate"),
      .label = phota_string("generate"),
      .path = phota_string("/v1/phota/generate"),
      .fields = phota_generate_fields,
      .nfields = phota_nfields(phota_generate_fields),
      .answer = PHOTA_ANSWER_IMAGES,
      .max_outputs = 4,
      .cached = 0,
      .model = phota_string("nb2"),
      .resolution = phota_string("1K") },

    { .id = PHOTA_OP_TRAINING,
      .provider = PHOTA_PROVIDER_PHOTA,
      .provider_name = phota_string("phota"),
      .name = phota_string("training"),
      .label = phota_string("training"),
      .path = phota_string("/v1/phota/profiles/add"),
      .fields = phota_training_fields,
      .nfields = phota_nfields(phota_training_fields),
      .answer = PHOTA_ANSWER_PROFILE,
      .max_outputs = 1,
      .cached = 0,
      .model = phota_string("standard"),
      .resolution = phota_string("") },

    { .id = PHOTA_OP_PHOTIO_REMIX,
      .provider = PHOTA_PROVIDER_PHOTIO,
      .provider_name = phota_string("photio"),
      .name = phota_string("remix"),
      .label = phota_string("photio-remix"),
      .path = phota_string("/v1/inference/remix"),
      .fields = photio_remix_fields,
      .nfields = phota_nfields(photio_remix_fields),
      .answer = PHOTA_ANSWER_BODY,
      .max_outputs = 1,
      .cached = 1,
      .model = phota_string(""),
      .resolution = phota_string("") }
};

_Static_assert(sizeof(phota_operations) / sizeof(phota_operation_t)
               == PHOTA_OP_MAX, "an operation is missing");


const phota_route_t  phota_routes[] = {

    { .id = PHOTA_ROUTE_JOB,
      .provider = PHOTA_PROVIDER_PHOTA,
      .name = phota_string("job"),
      .method = phota_string("GET"),
      .before = phota_string("/v1/phota/jobs/"),
      .after = phota_string(""),
      .named = 1 },

    { .id = PHOTA_ROUTE_SECRET,
      .provider = PHOTA_PROVIDER_PHOTA,
      .name = phota_string("secret"),
      .method = phota_string("GET"),
      .before = phota_string("/v1/phota/webhook-secret"),
      .after = phota_string(""),
      .named = 0 },

    { .id = PHOTA_ROUTE_PROFILES,
      .provider = PHOTA_PROVIDER_PHOTA,
      .name = phota_string("profiles"),
      .method = phota_string("GET"),
      .before = phota_string("/v1/phota/profiles/ids"),
      .after = phota_string(""),
      .named = 0 },

    { .id = PHOTA_ROUTE_PROFILE_STATUS,
      .provider = PHOTA_PROVIDER_PHOTA,
      .name = phota_string("profile-status"),
      .method = phota_string("GET"),
      .before = phota_string("/v1/phota/profiles/"),
      .after = phota_string("/status"),
      .named = 1 },

    { .id = PHOTA_ROUTE_PROFILE_PICTURE,
      .provider = PHOTA_PROVIDER_PHOTA,
      .name = phota_string("profile-picture"),
      .method = phota_string("GET"),
      .before = phota_string("/v1/phota/profiles/"),
      .after = phota_string("/profile_picture"),
      .named = 1 },

    { .id = PHOTA_ROUTE_PROFILE_DELETE,
      .provider = PHOTA_PROVIDER_PHOTA,
      .name = phota_string("profile-delete"),
      .method = phota_string("DELETE"),
      .before = phota_string("/v1/phota/profiles/"),
      .after = phota_string(""),
      .named = 1 }
};


const unsigned  phota_nroutes = sizeof(phota_routes) / sizeof(phota_route_t);
