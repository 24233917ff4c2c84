
/*
 * Pages of lists: at most so many rows, and where the next ones begin.  A row's
 * place is its key in the order of the list, so that a page is right whatever
 * was added or has gone since the one before it.
 */


#include <string.h>

#include "photactl.h"
#include "phota_order.h"


int
photactl_page_open(photactl_t *ctl)
{
    size_t            len;
    const char       *text;
    photactl_page_t  *page;

    page = &ctl->page;
    text = ctl->opts[PHOTACTL_OPT_LIMIT];

    if (text != NULL
        && (photactl_parse_number(ctl, text, &page->limit) != PHOTA_OK
            || page->limit == 0))
    {
        return photactl_wrong(ctl, "--limit \"%.64s\": not a number of rows",
                              text);
    }

    text = ctl->opts[PHOTACTL_OPT_AFTER];

    /* exports have cursors of their own */

    if (text == NULL || (ctl->command->flags & PHOTACTL_EXPORT)) {
        return PHOTA_OK;
    }

    len = strlen(text);

    if (len == 0 || len > 2 * PHOTACTL_KEY_MAX
        || phota_hex_parse(page->after, len / 2, text, len) != PHOTA_OK)
    {
        return photactl_wrong(ctl, "--after \"%.64s\": not where a page "
                              "ended", text);
    }

    page->after_len = len / 2;

    return PHOTA_OK;
}


int
photactl_page(photactl_t *ctl, const void *place, size_t len)
{
    int               n;
    size_t            least;
    photactl_page_t  *page;

    page = &ctl->page;

    if (len > PHOTACTL_KEY_MAX) {
        len = PHOTACTL_KEY_MAX;
    }

    if (page->after_len != 0) {
        least = (len < page->after_len) ? len : page->after_len;
        n = memcmp(place, page->after, least);

        if (n < 0 || (n == 0 && len <= page->after_len)) {
            return PHOTA_DECLINED;
        }
    }

    if (page->limit != 0 && page->shown == page->limit) {
        page->more = 1;
        return PHOTACTL_FULL;
    }

    memcpy(page->last, place, len);
    page->last_len = len;
    page->shown++;

    return PHOTA_OK;
}


int
photactl_page_number(photactl_t *ctl, uint64_t number)
{
    u_char  place[8];

    phota_put_be(place, number, sizeof(place));

    return photactl_page(ctl, place, sizeof(place));
}


void
photactl_page_close(photactl_t *ctl)
{
    photactl_page_t  *page;

    page = &ctl->page;

    if (page->more) {
        phota_hex_format(ctl->cursor, page->last, page->last_len);
    }
}
