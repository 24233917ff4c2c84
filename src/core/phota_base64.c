
/*
 * Base64.  Out by vectors of 24 bytes where the processor has them, else two
 * characters at a time by table; in by vectors of 32 characters or eight at a
 * time by table as long as nothing but the alphabet comes, and one at a time
 * for all else.
 */


#include "phota_picture.h"

#include <endian.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define PHOTA_BASE64_AVX2  1
#endif


#define PHOTA_BASE64_BAD    -1
#define PHOTA_BASE64_SPACE  -2
#define PHOTA_BASE64_PAD    -3


static size_t phota_base64_wide(u_char *out, const u_char *p, size_t n);
static const u_char *phota_base64_plain(const u_char *p, const u_char *last,
    u_char **out);


/* what each of the 4096 values of 12 bits becomes, by the preprocessor */

#define phota_pairs(a)                                                        \
    a "A" a "B" a "C" a "D" a "E" a "F" a "G" a "H" a "I" a "J" a "K" a "L"   \
    a "M" a "N" a "O" a "P" a "Q" a "R" a "S" a "T" a "U" a "V" a "W" a "X"   \
    a "Y" a "Z" a "a" a "b" a "c" a "d" a "e" a "f" a "g" a "h" a "i" a "j"   \
    a "k" a "l" a "m" a "n" a "o" a "p" a "q" a "r" a "s" a "t" a "u" a "v"   \
    a "w" a "x" a "y" a "z" a "0" a "1" a "2" a "3" a "4" a "5" a "6" a "7"   \
    a "8" a "9" a "+" a "/"

static const char  phota_base64_pairs[] =
    phota_pairs("A") phota_pairs("B") phota_pairs("C") phota_pairs("D")
    phota_pairs("E") phota_pairs("F") phota_pairs("G") phota_pairs("H")
    phota_pairs("I") phota_pairs("J") phota_pairs("K") phota_pairs("L")
    phota_pairs("M") phota_pairs("N") phota_pairs("O") phota_pairs("P")
    phota_pairs("Q") phota_pairs("R") phota_pairs("S") phota_pairs("T")
    phota_pairs("U") phota_pairs("V") phota_pairs("W") phota_pairs("X")
    phota_pairs("Y") phota_pairs("Z") phota_pairs("a") phota_pairs("b")
    phota_pairs("c") phota_pairs("d") phota_pairs("e") phota_pairs("f")
    phota_pairs("g") phota_pairs("h") phota_pairs("i") phota_pairs("j")
    phota_pairs("k") phota_pairs("l") phota_pairs("m") phota_pairs("n")
    phota_pairs("o") phota_pairs("p") phota_pairs("q") phota_pairs("r")
    phota_pairs("s") phota_pairs("t") phota_pairs("u") phota_pairs("v")
    phota_pairs("w") phota_pairs("x") phota_pairs("y") phota_pairs("z")
    phota_pairs("0") phota_pairs("1") phota_pairs("2") phota_pairs("3")
    phota_pairs("4") phota_pairs("5") phota_pairs("6") phota_pairs("7")
    phota_pairs("8") phota_pairs("9") phota_pairs("+") phota_pairs("/");


/* '-' is '+' and '_' is '/'; no value is negative but those named above */

static const int8_t  phota_base64_values[] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -2, -2, -1, -1, -2, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -2, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, 62, -1, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -3, -1, -1,
    -1,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 63,
    -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1
};


static inline void
phota_base64_pair(u_char *out, uint64_t bits)
{
    memcpy(out, &phota_base64_pairs[2 * (bits & 0xfff)], 2);
}


/*
 * As many whole groups as a vector instruction takes at once; returns how many
 * bytes that were, a multiple of 24.
 */

#if (PHOTA_BASE64_AVX2)

__attribute__((target("avx2")))
static size_t
phota_base64_avx2(u_char *out, const u_char *p, size_t n)
{
    size_t         done;
    __m256i        in, high, low, index, shift;
    const __m256i  spread = _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4,
                                             7, 6, 8, 7, 10, 9, 11, 10,
                                             1, 0, 2, 1, 4, 3, 5, 4,
                                             7, 6, 8, 7, 10, 9, 11, 10);

    /* what is to be added to a value, by its class: 0-25 is class 13 */

    const __m256i  shifts = _mm256_setr_epi8('a' - 26, '0' - 52, '0' - 52,
                                             '0' - 52, '0' - 52, '0' - 52,
                                             '0' - 52, '0' - 52, '0' - 52,
                                             '0' - 52, '0' - 52, '+' - 62,
                                             '/' - 63, 'A', 0, 0,
                                             'a' - 26, '0' - 52, '0' - 52,
                                             '0' - 52, '0' - 52, '0' - 52,
                                             '0' - 52, '0' - 52, '0' - 52,
                                             '0' - 52, '0' - 52, '+' - 62,
                                             '/' - 63, 'A', 0, 0);

    /* each half reads 16 bytes and uses 12 */

    for (done = 0; n - done >= 28; done += 24) {
        in = _mm256_inserti128_si256(
                 _mm256_castsi128_si256(
                     _mm_loadu_si128((const __m128i *) (p + done))),
                 _mm_loadu_si128((const __m128i *) (p + done + 12)), 1);

        in = _mm256_shuffle_epi8(in, spread);

        /* multiplications shift each six bits into a byte of their own */

        high = _mm256_mulhi_epu16(
                   _mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)),
                   _mm256_set1_epi32(0x04000040));
        low = _mm256_mullo_epi16(
                  _mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)),
                  _mm256_set1_epi32(0x01000010));
        in = _mm256_or_si256(high, low);

        /* 0 for 26-51, 1-10 for digits, 11 and 12, and 13 for 0-25 */

        index = _mm256_subs_epu8(in, _mm256_set1_epi8(51));
        shift = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), in);
        index = _mm256_or_si256(index,
                                _mm256_and_si256(shift,
                                                 _mm256_set1_epi8(13)));

        _mm256_storeu_si256((__m256i *) (out + done / 3 * 4),
                            _mm256_add_epi8(in,
                                            _mm256_shuffle_epi8(shifts,
                                                                index)));
    }

    return done;
}


/*
 * The same backwards: 24 bytes of each 32 characters, to the first 32 that
 * aren't all of the alphabet with '+' and '/'; not a byte more is written, and
 * a character is left.  Returns how many characters that were.
 */

__attribute__((target("avx2")))
static size_t
phota_base64_unwide(u_char *out, const u_char *p, size_t n)
{
    size_t         done;
    __m256i        in, high, low, slash, value;
    const __m256i  nibble = _mm256_set1_epi8(0x0f);

    /* a character is of the alphabet when its two nibbles share no bit here */

    const __m256i  lows = _mm256_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11,
                                           0x11, 0x11, 0x11, 0x11, 0x13, 0x1a,
                                           0x1b, 0x1b, 0x1b, 0x1a,
                                           0x15, 0x11, 0x11, 0x11, 0x11, 0x11,
                                           0x11, 0x11, 0x11, 0x11, 0x13, 0x1a,
                                           0x1b, 0x1b, 0x1b, 0x1a);
    const __m256i  highs = _mm256_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08,
                                            0x04, 0x08, 0x10, 0x10, 0x10, 0x10,
                                            0x10, 0x10, 0x10, 0x10,
                                            0x10, 0x10, 0x01, 0x02, 0x04, 0x08,
                                            0x04, 0x08, 0x10, 0x10, 0x10, 0x10,
                                            0x10, 0x10, 0x10, 0x10);

    /* what is to be added, by the high nibble; '/' is in the place of 1 */

    const __m256i  shifts = _mm256_setr_epi8(0, 63 - '/', 62 - '+', 52 - '0',
                                             -'A', -'A', 26 - 'a', 26 - 'a',
                                             0, 0, 0, 0, 0, 0, 0, 0,
                                             0, 63 - '/', 62 - '+', 52 - '0',
                                             -'A', -'A', 26 - 'a', 26 - 'a',
                                             0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i  pack = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13,
                                           12, -1, -1, -1, -1,
                                           2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13,
                                           12, -1, -1, -1, -1);
    const __m256i  join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);

    for (done = 0; n - done > 32; done += 32) {
        in = _mm256_loadu_si256((const __m256i *) (p + done));

        high = _mm256_and_si256(_mm256_srli_epi32(in, 4), nibble);
        low = _mm256_and_si256(in, nibble);

        if (!_mm256_testz_si256(_mm256_shuffle_epi8(lows, low),
                                _mm256_shuffle_epi8(highs, high)))
        {
            break;
        }

        slash = _mm256_cmpeq_epi8(in, _mm256_set1_epi8('/'));
        value = _mm256_add_epi8(in,
                    _mm256_shuffle_epi8(shifts,
                                        _mm256_add_epi8(slash, high)));

        /* pairs of six bits, then pairs of twelve, in the order of numbers */

        value = _mm256_maddubs_epi16(value, _mm256_set1_epi32(0x01400140));
        value = _mm256_madd_epi16(value, _mm256_set1_epi32(0x00011000));
        value = _mm256_shuffle_epi8(value, pack);
        value = _mm256_permutevar8x32_epi32(value, join);

        _mm_storeu_si128((__m128i *) out, _mm256_castsi256_si128(value));
        _mm_storel_epi64((__m128i *) (out + 16),
                         _mm256_extracti128_si256(value, 1));
        out += 24;
    }

    return done;
}

#endif


static size_t
phota_base64_wide(u_char *out, const u_char *p, size_t n)
{
#if (PHOTA_BASE64_AVX2)

    if (n >= 28 && __builtin_cpu_supports("avx2")) {
        return phota_base64_avx2(out, p, n);
    }

#endif

    (void) out;
    (void) p;
    (void) n;

    return 0;
}


size_t
phota_base64_encode(u_char *out, const u_char *p, size_t n)
{
    size_t     done;
    u_char    *start;
    uint64_t   bits;

    start = out;

    done = phota_base64_wide(out, p, n);

    out += done / 3 * 4;
    p += done;
    n -= done;

    /* eight bytes are read, and six of them used */

    while (n >= 8) {
        memcpy(&bits, p, 8);
        bits = be64toh(bits);

        phota_base64_pair(out, bits >> 52);
        phota_base64_pair(out + 2, bits >> 40);
        phota_base64_pair(out + 4, bits >> 28);
        phota_base64_pair(out + 6, bits >> 16);

        out += 8;
        p += 6;
        n -= 6;
    }

    while (n) {
        bits = (uint64_t) p[0] << 16;

        if (n > 1) {
            bits |= (uint64_t) p[1] << 8;
        }

        if (n > 2) {
            bits |= p[2];
        }

        phota_base64_pair(out, bits >> 12);
        phota_base64_pair(out + 2, bits);

        if (n < 3) {
            out[3] = '=';
            out[2] = (n == 1) ? '=' : out[2];
            out += 4;
            break;
        }

        out += 4;
        p += 3;
        n -= 3;
    }

    return out - start;
}


void
phota_base64_init(phota_base64_t *b)
{
    memset(b, 0, sizeof(phota_base64_t));
}


int
phota_base64_update(phota_base64_t *b, const u_char *p, size_t n, u_char *out,
    size_t *len)
{
    int8_t         value;
    u_char        *start;
    const u_char  *last;

    start = out;
    last = p + n;
    *len = 0;

    while (p < last) {

        /* at least one character is left by it */

        if (b->count == 0) {
            p = phota_base64_plain(p, last, &out);
        }

        value = phota_base64_values[*p++];

        if (value == PHOTA_BASE64_SPACE) {
            continue;
        }

        if (value == PHOTA_BASE64_PAD) {

            if (b->count < 2 || b->ended) {
                return PHOTA_INVALID;
            }

            b->padding++;
            b->ended = (b->count + b->padding == 4);
            continue;
        }

        if (value == PHOTA_BASE64_BAD || b->padding) {
            return PHOTA_INVALID;
        }

        b->bits = b->bits << 6 | (uint32_t) value;

        if (++b->count == 4) {
            *out++ = (u_char) (b->bits >> 16);
            *out++ = (u_char) (b->bits >> 8);
            *out++ = (u_char) b->bits;

            b->bits = 0;
            b->count = 0;
        }
    }

    *len = out - start;

    return PHOTA_OK;
}


/*
 * Whole groups, to the first eight characters that aren't all of the alphabet,
 * or the last twelve: eight bytes are written for six, and what those twelve
 * will become leaves room for the two.
 */

static const u_char *
phota_base64_plain(const u_char *p, const u_char *last, u_char **out)
{
    u_char    *o;
    uint64_t   bits;

    o = *out;

#if (PHOTA_BASE64_AVX2)

    size_t     done;

    if (last - p > 32 && __builtin_cpu_supports("avx2")) {
        done = phota_base64_unwide(o, p, (size_t) (last - p));

        o += done / 4 * 3;
        p += done;
    }

#endif

    while (last - p >= 12) {

        /* anything negative reaches above the 48 bits, wherever it stands */

        bits = (uint64_t) phota_base64_values[p[0]] << 42
               | (uint64_t) phota_base64_values[p[1]] << 36
               | (uint64_t) phota_base64_values[p[2]] << 30
               | (uint64_t) phota_base64_values[p[3]] << 24
               | (uint64_t) phota_base64_values[p[4]] << 18
               | (uint64_t) phota_base64_values[p[5]] << 12
               | (uint64_t) phota_base64_values[p[6]] << 6
               | (uint64_t) phota_base64_values[p[7]];

        if (bits >> 48) {
            break;
        }

        bits = htobe64(bits << 16);
        memcpy(o, &bits, 8);

        o += 6;
        p += 8;
    }

    *out = o;

    return p;
}


int
phota_base64_final(phota_base64_t *b, u_char *out, size_t *len)
{
    *len = 0;

    if (b->count == 1 || (b->padding && !b->ended)) {
        return PHOTA_INVALID;
    }

    if (b->count == 0) {
        return PHOTA_OK;
    }

    /* the bits that fill up the last character are nobody's */

    if (b->count == 2) {
        out[0] = (u_char) (b->bits >> 4);
        *len = 1;

    } else {
        out[0] = (u_char) (b->bits >> 10);
        out[1] = (u_char) (b->bits >> 2);
        *len = 2;
    }

    return PHOTA_OK;
}
