
/*
 * What the sanitizers are told by the program itself, linked into the nginx
 * that is tested: a binary upgrade starts the new one without the environment
 * of the old.
 */


#include <stddef.h>
#include <stdint.h>


/* as nginx has them */

#define NGX_PROCESS_SINGLE     0
#define NGX_PROCESS_SIGNALLER  2


const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);
int __lsan_is_turned_off(void);
int dlclose(void *handle);


/* absent from the programs that configure tries */

extern uintptr_t  ngx_process __attribute__((weak));
extern uintptr_t  ngx_test_config __attribute__((weak));
extern uintptr_t  ngx_use_stderr __attribute__((weak));


static int phota_never_ran(void);


const char *
__asan_default_options(void)
{
    /* every dynamic module repeats ngx_modules and ngx_module_names */

    return "detect_odr_violation=0";
}


const char *
__lsan_default_suppressions(void)
{
    /* what nginx keeps until its process ends, by design */

    return "leak:ngx_event_process_init\n"
           "leak:ngx_set_environment\n"
           "leak:ngx_init_setproctitle\n"
           "leak:ngx_save_argv\n"
           "leak:ngx_process_options\n"
           "leak:ngx_regex_malloc\n";
}


/*
 * nginx -s and nginx -t leave without tidying up, and so does one that can't
 * start, its port being taken, say.
 */

int
__lsan_is_turned_off(void)
{
    return (&ngx_process != NULL && ngx_process == NGX_PROCESS_SIGNALLER)
           || (&ngx_test_config != NULL && ngx_test_config)
           || phota_never_ran();
}


/*
 * What has begun to run is a master, or has done with stderr.  ngx_cycle would
 * not do: until then it points into main(), which has returned.
 */

static int
phota_never_ran(void)
{
    return &ngx_process != NULL && &ngx_use_stderr != NULL
           && ngx_process == NGX_PROCESS_SINGLE && ngx_use_stderr;
}


/*
 * A worker that ends unloads its modules first: what their statics point to
 * would look lost, and no report could name their functions.
 */

int
dlclose(void *handle)
{
    (void) handle;

    return 0;
}
