
/*
 * photactl completion: a script for bash, made of the table of commands, so
 * that it knows each command and option and no others.
 */


#include <stdio.h>
#include <string.h>

#include "photactl_shell.h"


static void photactl_completion_commands(FILE *out);
static void photactl_completion_options(FILE *out,
    const photactl_command_t *cmd);
static void photactl_completion_values(FILE *out);
static int photactl_completion_words(const char *value);


int
photactl_completion(photactl_t *ctl)
{
    FILE  *out;

    if (strcmp(ctl->args[0], "bash") != 0) {
        return photactl_wrong(ctl, "%s: only of bash", ctl->args[0]);
    }

    out = ctl->out;

    (void) fprintf(out,
        "# completes photactl: source it, or put it into\n"
        "# /usr/share/bash-completion/completions/photactl\n\n"
        "_photactl() {\n"
        "    local cur prev word command verb options skip\n"
        "    cur=${COMP_WORDS[COMP_CWORD]}\n"
        "    prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    command= verb= skip=\n"
        "    COMPREPLY=()\n\n"
        "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
        "        if [ \"$skip\" ]; then skip=; continue; fi\n"
        "        case $word in\n"
        "            --data|--master-key|--old-master-key) skip=1 ;;\n"
        "            -*) ;;\n"
        "            *) if [ -z \"$command\" ]; then command=$word\n"
        "               elif [ -z \"$verb\" ]; then verb=$word; fi ;;\n"
        "        esac\n"
        "    done\n\n");

    photactl_completion_values(out);
    photactl_completion_commands(out);

    (void) fprintf(out, "}\n\ncomplete -F _photactl photactl\n");

    return PHOTA_OK;
}


/* words after an option that takes one of some, or a file */

static void
photactl_completion_values(FILE *out)
{
    int          i;
    const char  *p, *value;

    (void) fprintf(out, "    case $prev in\n");

    for (i = 0; i < PHOTACTL_OPT_MAX; i++) {
        value = photactl_options[i].value;

        if (value == NULL) {
            continue;
        }

        if (strncmp(value, "FILE", 4) == 0 || strcmp(value, "DIR") == 0) {
            (void) fprintf(out, "        %s) COMPREPLY=($(compgen -f -- "
                           "\"$cur\")); return ;;\n",
                           photactl_options[i].name);

        } else if (photactl_completion_words(value)) {
            (void) fprintf(out, "        %s) COMPREPLY=($(compgen -W '",
                           photactl_options[i].name);

            for (p = value; *p != '\0'; p++) {
                (void) fputc(*p == '|' ? ' ' : *p, out);
            }

            (void) fprintf(out, "' -- \"$cur\")); return ;;\n");

        } else {
            (void) fprintf(out, "        %s) return ;;\n",
                           photactl_options[i].name);
        }
    }

    (void) fprintf(out, "    esac\n\n");
}


/* "read|write", and no AMOUNT in it */

static int
photactl_completion_words(const char *value)
{
    const char  *p;

    for (p = value; *p != '\0'; p++) {
        if (*p != '|' && (*p < 'a' || *p > 'z')) {
            return 0;
        }
    }

    return strchr(value, '|') != NULL;
}


static void
photactl_completion_commands(FILE *out)
{
    size_t                     i, k;
    const char                *last;
    const photactl_command_t  *cmd, *verb;

    (void) fprintf(out, "    options=\n\n    case $command\\ $verb in\n");

    for (i = 0; (cmd = photactl_command(i)) != NULL; i++) {
        (void) fprintf(out, "        %s\\ %s) options='", cmd->name,
                       cmd->verb ? cmd->verb : "*");
        photactl_completion_options(out, cmd);
        (void) fprintf(out, "' ;;\n");
    }

    (void) fprintf(out,
        "    esac\n\n"
        "    if [[ $cur == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"--data --master-key "
        "--old-master-key --json --help $options\" -- \"$cur\"))\n"
        "        return\n"
        "    fi\n\n"
        "    if [ -z \"$command\" ]; then\n"
        "        COMPREPLY=($(compgen -W '");

    last = "";

    for (i = 0; (cmd = photactl_command(i)) != NULL; i++) {
        if (strcmp(cmd->name, last) != 0) {
            (void) fprintf(out, "%s%s", *last ? " " : "", cmd->name);
            last = cmd->name;
        }
    }

    (void) fprintf(out, "' -- \"$cur\"))\n        return\n    fi\n\n"
                   "    [ \"$verb\" ] && return\n\n    case $command in\n");

    last = "";

    for (i = 0; (cmd = photactl_command(i)) != NULL; i++) {

        if (cmd->verb == NULL || strcmp(cmd->name, last) == 0) {
            continue;
        }

        last = cmd->name;

        (void) fprintf(out, "        %s) COMPREPLY=($(compgen -W '",
                       cmd->name);

        for (k = i; (verb = photactl_command(k)) != NULL; k++) {
            if (strcmp(verb->name, last) == 0 && verb->verb != NULL) {
                (void) fprintf(out, "%s%s", k == i ? "" : " ", verb->verb);
            }
        }

        (void) fprintf(out, "' -- \"$cur\")) ;;\n");
    }

    (void) fprintf(out, "        backup|restore) COMPREPLY=($(compgen -d -- "
                   "\"$cur\")) ;;\n    esac\n");
}


static void
photactl_completion_options(FILE *out, const photactl_command_t *cmd)
{
    int       i;
    unsigned  n;

    n = 0;

    for (i = 0; i < PHOTACTL_OPT_MAX; i++) {
        if (cmd->opts >> i & 1) {
            (void) fprintf(out, "%s%s", n++ ? " " : "",
                           photactl_options[i].name);
        }
    }
}
