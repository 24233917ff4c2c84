
/*
 * The answer that a call for bytes would have had, of a result that told its
 * pictures by links, and the files that were fetched from there.  It is read in
 * pieces, as phota_unpack() reads any answer, and is never in memory whole.
 */


#ifndef _PHOTA_ASSEMBLY_H_INCLUDED_
#define _PHOTA_ASSEMBLY_H_INCLUDED_


#include "phota_unpack.h"


typedef struct {
    phota_read_pt    read;
    void            *ctx;
    uint64_t         length;        /* bytes of the file */
} phota_file_t;


typedef struct {
    u_char          *text;          /* around the pictures */
    size_t           before;        /* bytes of it that go before them */
    size_t           len;
    phota_file_t     files[PHOTA_PICTURES_MAX];
    unsigned         nfiles;
} phota_assembly_t;


/*
 * result: the object with "images" and "download_urls", as it stands in the
 * text of a job.  PHOTA_INVALID when it isn't one, has one of them twice, or as
 * what is no list and not null; PHOTA_ERROR: no memory.
 */
int phota_assembly_init(phota_assembly_t *a, const u_char *result,
    size_t len);

/* the next picture; PHOTA_INVALID when there are too many */
int phota_assembly_add(phota_assembly_t *a, phota_read_pt read, void *ctx,
    uint64_t length);

/* bytes of the whole answer */
uint64_t phota_assembly_length(const phota_assembly_t *a);

/* phota_read_pt */
int phota_assembly_read(void *ctx, u_char *buf, size_t len, uint64_t offset);

void phota_assembly_free(phota_assembly_t *a);


#endif /* _PHOTA_ASSEMBLY_H_INCLUDED_ */
