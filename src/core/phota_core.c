
/*
 * What every file of core/ shares: errors, identifiers, and money, time and
 * hex as text.  Parsers take exactly what the formatters write and the few
 * other forms that the header names; nothing else, and nothing overflows.
 */


#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "phota_core.h"


#define PHOTA_USD  1000000          /* micro-USD */


typedef struct {
    const char     *p;
    const char     *end;
} phota_scanner_t;


static int phota_base32_value(char ch);
static int phota_hex_value(char ch);
static int phota_scan_number(phota_scanner_t *s, unsigned digits, int *value);
static int phota_scan_char(phota_scanner_t *s, const char *set);
static int phota_scan_date(phota_scanner_t *s, struct tm *tm);
static int phota_scan_clock(phota_scanner_t *s, struct tm *tm, unsigned *ms);
static int phota_scan_zone(phota_scanner_t *s, int *offset);


static const char  phota_base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";


phota_work_pt  phota_work;


void
phota_error(phota_error_t *err, const char *fmt, ...)
{
    va_list  args;

    if (err == NULL) {
        return;
    }

    va_start(args, fmt);
    (void) vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
}


uint64_t
phota_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


int
phota_id_create(phota_id_t *id, uint64_t ms)
{
    int  i;

    for (i = 5; i >= 0; i--) {
        id->b[i] = (u_char) ms;
        ms >>= 8;
    }

    /* up to 256 bytes come whole once the system has its entropy */

    if (getrandom(&id->b[6], 10, 0) != 10) {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


void
phota_id_format(char *buf, const phota_id_t *id)
{
    int       i, n;
    char     *p;
    unsigned  acc, bits;

    memcpy(buf, "ch_", 3);

    /* 128 bits in 26 digits of 5: taken from the end, the first has 3 */

    p = buf + PHOTA_ID_TEXT - 1;
    *p = '\0';

    acc = 0;
    bits = 0;
    i = 15;

    for (n = 0; n < 26; n++) {

        if (bits < 5 && i >= 0) {
            acc |= (unsigned) id->b[i--] << bits;
            bits += 8;
        }

        *--p = phota_base32[acc & 31];
        acc >>= 5;
        bits = (bits > 5) ? bits - 5 : 0;
    }
}


int
phota_id_parse(phota_id_t *id, const char *text, size_t len)
{
    int       i, n, v;
    unsigned  acc, bits;

    if (len != PHOTA_ID_TEXT - 1 || memcmp(text, "ch_", 3) != 0) {
        return PHOTA_INVALID;
    }

    /* the first digit holds 3 bits only */

    v = phota_base32_value(text[3]);

    if (v < 0 || v > 7) {
        return PHOTA_INVALID;
    }

    acc = (unsigned) v;
    bits = 3;
    n = 0;

    for (i = 4; i < PHOTA_ID_TEXT - 1; i++) {

        v = phota_base32_value(text[i]);

        if (v < 0) {
            return PHOTA_INVALID;
        }

        acc = (acc << 5) | (unsigned) v;
        bits += 5;

        if (bits >= 8) {
            bits -= 8;
            id->b[n++] = (u_char) (acc >> bits);
            acc &= (1u << bits) - 1;
        }
    }

    return PHOTA_OK;
}


static int
phota_base32_value(char ch)
{
    const char  *p;

    if (ch >= 'a' && ch <= 'z') {
        ch = (char) (ch - 'a' + 'A');
    }

    if (ch == '\0') {
        return -1;
    }

    p = strchr(phota_base32, ch);

    return (p == NULL) ? -1 : (int) (p - phota_base32);
}


void
phota_usd_format(char *buf, int64_t micro)
{
    uint64_t  n;

    /* the least int64_t has no positive counterpart */

    n = (micro < 0) ? 0 - (uint64_t) micro : (uint64_t) micro;

    (void) snprintf(buf, PHOTA_USD_TEXT, "%s%llu.%06llu",
                    (micro < 0) ? "-" : "",
                    (unsigned long long) (n / PHOTA_USD),
                    (unsigned long long) (n % PHOTA_USD));
}


int
phota_usd_parse(int64_t *micro, const char *text, size_t len)
{
    size_t    i;
    int64_t   n;
    unsigned  digits, decimals, point;

    n = 0;
    point = 0;
    digits = 0;
    decimals = 0;

    for (i = 0; i < len; i++) {

        if (text[i] == '.' && digits && !point) {
            point = 1;
            continue;
        }

        if (text[i] < '0' || text[i] > '9' || decimals == 6) {
            return PHOTA_INVALID;
        }

        if (__builtin_mul_overflow(n, 10, &n)
            || __builtin_add_overflow(n, text[i] - '0', &n))
        {
            return PHOTA_INVALID;
        }

        digits++;
        decimals += point;
    }

    if (digits == 0 || (point && decimals == 0)) {
        return PHOTA_INVALID;
    }

    for ( /* void */ ; decimals < 6; decimals++) {
        if (__builtin_mul_overflow(n, 10, &n)) {
            return PHOTA_INVALID;
        }
    }

    *micro = n;

    return PHOTA_OK;
}


void
phota_time_format(char *buf, uint64_t ms)
{
    size_t     n;
    time_t     sec;
    struct tm  tm;

    sec = (time_t) (ms / 1000);

    /* a year of five digits, from damaged data */

    if (gmtime_r(&sec, &tm) == NULL || tm.tm_year > 9999 - 1900) {
        (void) snprintf(buf, PHOTA_TIME_TEXT, "9999-12-31T23:59:59.999Z");
        return;
    }

    n = strftime(buf, PHOTA_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);

    (void) snprintf(buf + n, PHOTA_TIME_TEXT - n, ".%03uZ",
                    (unsigned) (ms % 1000));
}


int
phota_time_parse(uint64_t *ms, const char *text, size_t len)
{
    int              offset;
    time_t           sec;
    unsigned         fraction;
    struct tm        tm;
    phota_scanner_t  s;

    s.p = text;
    s.end = text + len;
    offset = 0;
    fraction = 0;

    if (phota_scan_date(&s, &tm) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    if (s.p != s.end
        && (phota_scan_char(&s, "Tt ") != PHOTA_OK
            || phota_scan_clock(&s, &tm, &fraction) != PHOTA_OK
            || phota_scan_zone(&s, &offset) != PHOTA_OK))
    {
        return PHOTA_INVALID;
    }

    if (s.p != s.end) {
        return PHOTA_INVALID;
    }

    sec = timegm(&tm) - offset;

    if (sec < 0) {
        return PHOTA_INVALID;
    }

    *ms = (uint64_t) sec * 1000 + fraction;

    return PHOTA_OK;
}


static int
phota_scan_number(phota_scanner_t *s, unsigned digits, int *value)
{
    *value = 0;

    for ( /* void */ ; digits; digits--) {

        if (s->p == s->end || *s->p < '0' || *s->p > '9') {
            return PHOTA_INVALID;
        }

        *value = *value * 10 + (*s->p++ - '0');
    }

    return PHOTA_OK;
}


static int
phota_scan_char(phota_scanner_t *s, const char *set)
{
    if (s->p == s->end || *s->p == '\0' || strchr(set, *s->p) == NULL) {
        return PHOTA_INVALID;
    }

    s->p++;

    return PHOTA_OK;
}


static int
phota_scan_date(phota_scanner_t *s, struct tm *tm)
{
    int        day, month, year;
    struct tm  check;

    if (phota_scan_number(s, 4, &year) != PHOTA_OK
        || phota_scan_char(s, "-") != PHOTA_OK
        || phota_scan_number(s, 2, &month) != PHOTA_OK
        || phota_scan_char(s, "-") != PHOTA_OK
        || phota_scan_number(s, 2, &day) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    memset(tm, 0, sizeof(struct tm));

    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;

    /* timegm() turns the 31st of April into the 1st of May */

    check = *tm;

    if (year < 1970 || timegm(&check) < 0 || check.tm_mon != month - 1
        || check.tm_mday != day)
    {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_scan_clock(phota_scanner_t *s, struct tm *tm, unsigned *ms)
{
    unsigned  scale;

    if (phota_scan_number(s, 2, &tm->tm_hour) != PHOTA_OK
        || phota_scan_char(s, ":") != PHOTA_OK
        || phota_scan_number(s, 2, &tm->tm_min) != PHOTA_OK
        || phota_scan_char(s, ":") != PHOTA_OK
        || phota_scan_number(s, 2, &tm->tm_sec) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    /* 60 is a leap second */

    if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60) {
        return PHOTA_INVALID;
    }

    if (phota_scan_char(s, ".") != PHOTA_OK) {
        return PHOTA_OK;
    }

    if (s->p == s->end || *s->p < '0' || *s->p > '9') {
        return PHOTA_INVALID;
    }

    for (scale = 100; s->p != s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        *ms += (unsigned) (*s->p - '0') * scale;
        scale /= 10;
    }

    return PHOTA_OK;
}


static int
phota_scan_zone(phota_scanner_t *s, int *offset)
{
    int  hour, min, sign;

    if (phota_scan_char(s, "Zz") == PHOTA_OK) {
        return PHOTA_OK;
    }

    sign = (s->p != s->end && *s->p == '-') ? -1 : 1;

    if (phota_scan_char(s, "+-") != PHOTA_OK
        || phota_scan_number(s, 2, &hour) != PHOTA_OK
        || phota_scan_char(s, ":") != PHOTA_OK
        || phota_scan_number(s, 2, &min) != PHOTA_OK
        || hour > 23 || min > 59)
    {
        return PHOTA_INVALID;
    }

    *offset = sign * (hour * 3600 + min * 60);

    return PHOTA_OK;
}


void
phota_hex_format(char *buf, const u_char *p, size_t len)
{
    size_t             i;
    static const char  hex[] = "0123456789abcdef";

    for (i = 0; i < len; i++) {
        *buf++ = hex[p[i] >> 4];
        *buf++ = hex[p[i] & 15];
    }

    *buf = '\0';
}


int
phota_hex_parse(u_char *p, size_t len, const char *text, size_t n)
{
    int     high, low;
    size_t  i;

    if (n % 2 != 0 || n / 2 != len) {
        return PHOTA_INVALID;
    }

    for (i = 0; i < len; i++) {
        high = phota_hex_value(text[2 * i]);
        low = phota_hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return PHOTA_INVALID;
        }

        p[i] = (u_char) (high << 4 | low);
    }

    return PHOTA_OK;
}


static int
phota_hex_value(char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }

    if (ch >= 'A' && ch <= 'F') {
        return ch - 'A' + 10;
    }

    return -1;
}
