
/*
 * Tests for time zones: days and months of every hour of years against those of
 * libc, days that end where clocks are changed, names that are no zones, and
 * damaged records.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "phota_zone.h"


#define HOUR  ((uint64_t) 3600 * 1000)
#define DAY   (24 * HOUR)


static phota_error_t  err;


static uint64_t
at(const char *text)
{
    uint64_t  ms;

    assert_int_equal(phota_time_parse(&ms, text, strlen(text)), PHOTA_OK);

    return ms;
}


static void
create(phota_zone_t *zone, const char *name, const char *now)
{
    if (phota_zone_create(zone, name, at(now), &err) != PHOTA_OK) {
        fail_msg("%s: %s", name, err.text);
    }

    assert_string_equal(zone->name, name);
    assert_true(zone->n >= 1 && zone->shifts[0].from == 0);
}


/* libc's date at a moment, as numbers of ours */

static void
libc_date(uint64_t ms, uint32_t *day, uint32_t *month)
{
    time_t     sec;
    struct tm  tm;

    sec = (time_t) (ms / 1000);
    assert_non_null(localtime_r(&sec, &tm));

    *month = (uint32_t) ((tm.tm_year - 70) * 12 + tm.tm_mon);

    tm.tm_isdst = 0;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    *day = (uint32_t) (timegm(&tm) / 86400);
}


/* every hour, half an hour beside it, and the seconds around day's ends */

static void
years(const char *name, const char *now, unsigned n)
{
    uint32_t      day, month, last, step, edge;
    uint64_t      ms, from, to, end, next;
    phota_zone_t  zone;

    create(&zone, name, now);

    from = at(now);
    to = from + n * 366 * DAY;

    (void) setenv("TZ", name, 1);
    tzset();

    last = 0;
    step = 0;

    for (ms = from; ms < to; ms += HOUR / 2, step++) {
        libc_date(ms, &day, &month);

        if (phota_zone_day(&zone, ms) != day
            || phota_zone_month(&zone, ms) != month)
        {
            fail_msg("%s at %llu: day %u, not %u", name,
                     (unsigned long long) ms,
                     (unsigned) phota_zone_day(&zone, ms), (unsigned) day);
        }

        if (step % 48 != 0 && day == last) {
            continue;
        }

        last = day;

        end = phota_zone_day_end(&zone, ms);
        assert_true(end > ms && end <= ms + 25 * HOUR + DAY);
        libc_date(end - 1, &edge, &month);
        assert_int_equal(edge, day);
        libc_date(end, &edge, &month);
        assert_true(edge > day);

        libc_date(ms, &day, &month);
        next = phota_zone_month_end(&zone, ms);
        assert_true(next > ms && next >= end);
        assert_int_equal(phota_zone_month(&zone, next - 1), month);
        assert_int_equal(phota_zone_month(&zone, next), month + 1);
        libc_date(next - 1, &edge, &day);
        assert_int_equal(day, month);
        libc_date(next, &edge, &day);
        assert_int_equal(day, month + 1);
        libc_date(ms, &day, &month);
    }

    (void) unsetenv("TZ");
    tzset();

    phota_zone_free(&zone);
}


static void
against_libc(void **state)
{
    unsigned  i;

    static const struct {
        const char  *name;
        const char  *from;
        unsigned     years;
    } zones[] = {
        { "UTC", "2026-01-01", 3 },
        { "Europe/Berlin", "2026-01-01", 5 },
        { "America/New_York", "2026-01-01", 5 },
        { "Asia/Kolkata", "2026-01-01", 3 },
        { "Africa/Casablanca", "2026-01-01", 5 },
        { "America/Sao_Paulo", "2014-01-01", 6 },   /* midnights missing */
        { "America/Santiago", "2026-01-01", 5 },
        { "Asia/Beirut", "2026-01-01", 5 },
        { "America/Havana", "2026-01-01", 5 },
        { "Pacific/Apia", "2010-06-01", 3 },        /* a day is missing */
        { "Pacific/Kiritimati", "2026-01-01", 2 },
        { "Australia/Lord_Howe", "2026-01-01", 5 }, /* half an hour */
        { "America/Nuuk", "2026-01-01", 5 },
        { "Asia/Kathmandu", "2026-01-01", 2 }
    };

    (void) state;

    for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        years(zones[i].name, zones[i].from, zones[i].years);
    }
}


static void
shifts(void **state)
{
    phota_zone_t  zone;

    (void) state;

    create(&zone, "Europe/Berlin", "2026-06-01");
    assert_true(zone.n > 55 && zone.n < 70);
    assert_true(zone.shifts[0].offset == 3600);
    assert_true(zone.shifts[1].from == at("2025-03-30T01:00:00Z"));
    assert_true(zone.shifts[1].offset == 7200);
    assert_true(zone.shifts[2].from == at("2025-10-26T01:00:00Z"));
    assert_true(phota_zone_day_end(&zone, at("2026-03-29T12:00:00Z"))
                == at("2026-03-29T22:00:00Z"));
    assert_true(phota_zone_day_end(&zone, at("2026-03-28T23:00:00Z"))
                == at("2026-03-29T22:00:00Z"));
    assert_true(phota_zone_month_end(&zone, at("2026-10-01T00:00:00Z"))
                == at("2026-10-31T23:00:00Z"));

    /* for as long as was promised */

    assert_true(phota_zone_day_end(&zone, at("2055-07-01T12:00:00Z"))
                == at("2055-07-01T22:00:00Z"));
    phota_zone_free(&zone);

    /* clocks went from 24:00 to 01:00: the day began at 01:00 */

    create(&zone, "America/Sao_Paulo", "2018-06-01");
    assert_true(phota_zone_day_end(&zone, at("2018-11-03T12:00:00Z"))
                == at("2018-11-04T03:00:00Z"));

    /* from 24:00 back to 23:00: it had not begun */

    assert_true(phota_zone_day_end(&zone, at("2019-02-16T12:00:00Z"))
                == at("2019-02-17T03:00:00Z"));
    phota_zone_free(&zone);

    /* from 00:01 back to 23:01: once begun, it goes on */

    create(&zone, "America/St_Johns", "2010-06-01");
    assert_true(phota_zone_day_end(&zone, at("2010-11-06T12:00:00Z"))
                == at("2010-11-07T02:30:00Z"));
    assert_int_equal(phota_zone_day(&zone, at("2010-11-07T02:30:30Z")),
                     phota_zone_day(&zone, at("2010-11-07T02:31:30Z")));
    assert_int_equal(phota_zone_day(&zone, at("2010-11-07T02:29:59Z")) + 1,
                     phota_zone_day(&zone, at("2010-11-07T02:31:30Z")));
    assert_true(phota_zone_day_end(&zone, at("2010-11-07T02:31:30Z"))
                == at("2010-11-08T03:30:00Z"));
    phota_zone_free(&zone);

    /* the 30th of December didn't come */

    create(&zone, "Pacific/Apia", "2011-06-01");
    assert_int_equal(phota_zone_day(&zone, at("2011-12-30T09:59:59Z")) + 2,
                     phota_zone_day(&zone, at("2011-12-30T10:00:00Z")));
    assert_true(phota_zone_day_end(&zone, at("2011-12-30T09:00:00Z"))
                == at("2011-12-30T10:00:00Z"));
    phota_zone_free(&zone);
}


static void
fixed(void **state)
{
    uint64_t      ms;
    phota_zone_t  zone;

    (void) state;

    create(&zone, "+05:30", "2026-01-01");
    assert_int_equal(zone.n, 1);
    assert_int_equal(zone.shifts[0].offset, 19800);
    assert_true(phota_zone_day_end(&zone, at("2026-01-01T18:29:59Z"))
                == at("2026-01-01T18:30:00Z"));
    assert_true(phota_zone_month_end(&zone, at("2026-01-31T18:30:00Z"))
                == at("2026-02-28T18:30:00Z"));
    phota_zone_free(&zone);

    create(&zone, "-12:00", "2026-01-01");
    assert_int_equal(zone.shifts[0].offset, -43200);
    assert_int_equal(phota_zone_day(&zone, 0), 0);
    assert_int_equal(phota_zone_month(&zone, 0), 0);
    assert_true(phota_zone_day_end(&zone, 0) == DAY + 12 * HOUR);
    phota_zone_free(&zone);

    create(&zone, "UTC", "2026-01-01");
    assert_int_equal(zone.n, 1);
    ms = at("2024-02-29T23:59:59.999Z");
    assert_int_equal(phota_zone_day(&zone, ms), phota_zone_day(NULL, ms));
    assert_true(phota_zone_day_end(NULL, ms) == ms + 1);
    assert_true(phota_zone_month_end(NULL, ms) == ms + 1);
    assert_true(phota_zone_month_end(NULL, ms + 1) == at("2024-04-01"));
    assert_int_equal(phota_zone_month(NULL, ms), 54 * 12 + 1);
    assert_true(phota_zone_day(NULL, UINT64_MAX) > 2900000);
    assert_true(phota_zone_day(&zone, UINT64_MAX) > 2900000);
    phota_zone_free(&zone);
}


/* months of UTC are those of the calendar, to its end */

static void
months(void **state)
{
    time_t     sec;
    uint64_t   ms;
    struct tm  tm;

    (void) state;

    for (ms = 0; ms < at("2401-01-01"); ms = phota_zone_month_end(NULL, ms)) {
        sec = (time_t) (ms / 1000);
        assert_non_null(gmtime_r(&sec, &tm));
        assert_true(tm.tm_mday == 1 && tm.tm_hour == 0 && ms % DAY == 0);
        assert_int_equal(phota_zone_month(NULL, ms),
                         (tm.tm_year - 70) * 12 + tm.tm_mon);
        assert_int_equal(phota_zone_month(NULL, ms + 27 * DAY),
                         (tm.tm_year - 70) * 12 + tm.tm_mon);
    }
}


static void
names(void **state)
{
    unsigned      i;
    phota_zone_t  zone;

    static const char  *bad[] = {
        "", "utc", "Nowhere/City", "Europe", "Europe/", "Europe/berlin",
        "/usr/share/zoneinfo/Europe/Berlin", "../zoneinfo/Europe/Berlin",
        "Europe/../Europe/Berlin", "Europe/./Berlin", ":Europe/Berlin",
        "right/Europe/Berlin", "posixrules", "zone.tab", "CET-1CEST",
        "Europe/Berlin ", "Europe\nBerlin", "+5:30", "+05:60", "+14:01",
        "-12:01", "+24:00", "+0530", "+05:3", "+05:300", "05:30", "+0a:00",
        "Europe/BerlinBerlinBerlinBerlinBerlinBerlin"
    };

    (void) state;

    (void) setenv("TZ", "Asia/Tokyo", 1);
    tzset();

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err.text[0] = '\0';

        if (phota_zone_create(&zone, bad[i], at("2026-01-01"), &err)
            != PHOTA_INVALID)
        {
            fail_msg("\"%s\" was taken", bad[i]);
        }

        assert_true(err.text[0] != '\0');
    }

    /* the program's own time is as it was */

    create(&zone, "Europe/Berlin", "2026-01-01");
    phota_zone_free(&zone);
    assert_string_equal(getenv("TZ"), "Asia/Tokyo");
    assert_int_equal(timezone, -9 * 3600);

    (void) unsetenv("TZ");
    tzset();
    create(&zone, "Europe/Berlin", "2026-01-01");
    phota_zone_free(&zone);
    assert_null(getenv("TZ"));
}


static void
records(void **state)
{
    size_t        i, len, room;
    u_char        buf[PHOTA_ZONE_RECORD + 1], old[PHOTA_ZONE_RECORD];
    phota_zone_t  zone, back;

    (void) state;

    create(&zone, "America/New_York", "2026-01-01");

    len = PHOTA_ZONE_RECORD;
    assert_int_equal(phota_zone_encode(&zone, old, &len), PHOTA_OK);

    room = len - 1;
    assert_int_not_equal(phota_zone_encode(&zone, buf, &room), PHOTA_OK);

    assert_int_equal(phota_zone_decode(&back, zone.name, old, len),
                     PHOTA_OK);
    assert_string_equal(back.name, zone.name);
    assert_int_equal(back.n, zone.n);

    for (i = 0; i < zone.n; i++) {
        assert_true(back.shifts[i].from == zone.shifts[i].from);
        assert_int_equal(back.shifts[i].offset, zone.shifts[i].offset);
    }

    phota_zone_free(&back);
    phota_zone_free(&zone);

    memcpy(buf, old, len);
    buf[len] = 0;

    for (i = 0; i <= len + 1; i++) {
        if (i != len) {
            assert_int_equal(phota_zone_decode(&back, "x", buf, i),
                             PHOTA_INVALID);
        }
    }

    /* a changed byte is damage, or another list in order */

    for (i = 0; i < len; i++) {
        buf[i] ^= 0x80;

        if (phota_zone_decode(&back, "x", buf, len) == PHOTA_OK) {
            assert_true(i > 5);
            (void) phota_zone_day_end(&back, at("2026-01-01"));
            (void) phota_zone_month_end(&back, UINT64_MAX);
            phota_zone_free(&back);
        }

        buf[i] = old[i];
    }
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(against_libc),
        cmocka_unit_test(shifts),
        cmocka_unit_test(fixed),
        cmocka_unit_test(months),
        cmocka_unit_test(names),
        cmocka_unit_test(records)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
