/* A layer under a process that writes down what the process asks of the disk, for files below one folder.
 *
 *   DROPLAYER_FOLDER   the folder, absolute
 *   DROPLAYER_JOURNAL  the file that gets a record per call, in the order of the calls, outside the folder
 *
 * A record is `struct record` and then its bytes: of a write, the data; of an open or unlink, the path. Syncs are written
 * down and not done: what a power cut leaves is worked out from the journal (disk.py). One lock around everything makes
 * the journal's order the true one. Loaded by LD_PRELOAD; Linux, 64 bits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#undef open64 /* where these are macros, both names would be defined once */
#undef openat64
#undef pwrite64
#undef ftruncate64
#define FILES_MAX 4096 /* descriptors we can tell apart; more end the process */

struct record {
    char call; /* (c)reate (o)pen (w)rite (t)runcate (s)ync (u)nlink */
    char padding[3];
    int32_t file;
    int64_t offset; /* of a write; the new size of a truncate */
    int64_t length; /* of the bytes that follow */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char watched[FILES_MAX];
static const char *folder;
static int journal = -1;

__attribute__((constructor)) static void start(void)
{
    folder = getenv("DROPLAYER_FOLDER");
    const char *path = getenv("DROPLAYER_JOURNAL");
    if (folder && path)
        journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0)
        abort();
}

static void put(const void *bytes, int64_t length)
{
    if (syscall(SYS_write, journal, bytes, length) != length)
        abort();
}

static void note(char call, int file, int64_t offset, const void *bytes, int64_t length)
{
    struct record record = {.call = call, .file = file, .offset = offset, .length = length};
    put(&record, sizeof record);
    if (length)
        put(bytes, length);
}

static int is_below(const char *path)
{
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (path[length] == '/' || path[length] == 0);
}

static int is_watched(int file)
{
    return file >= 0 && file < FILES_MAX && watched[file];
}

static int open_at(int where, const char *path, int flags, mode_t mode)
{
    if (!is_below(path))
        return syscall(SYS_openat, where, path, flags, mode);
    pthread_mutex_lock(&lock);
    int is_new = (flags & O_CREAT) && syscall(SYS_faccessat, where, path, F_OK) != 0;
    int file = syscall(SYS_openat, where, path, flags, mode);
    if (file >= FILES_MAX || (flags & O_TRUNC))
        abort(); /* nobody we watch does this */
    if (file >= 0) {
        watched[file] = 1;
        note(is_new ? 'c' : 'o', file, 0, path, strlen(path));
    }
    pthread_mutex_unlock(&lock);
    return file;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, int); \
        va_end(more); \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int where, const char *path, int flags, ...) { MODE(flags) return open_at(where, path, flags, mode); }
int openat64(int where, const char *path, int flags, ...) { MODE(flags) return open_at(where, path, flags, mode); }

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset)
{
    if (!is_watched(file))
        return syscall(SYS_pwrite64, file, bytes, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, file, bytes, length, offset);
    if (done > 0)
        note('w', file, offset, bytes, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) { return pwrite64(file, bytes, length, offset); }

ssize_t write(int file, const void *bytes, size_t length)
{
    if (!is_watched(file))
        return syscall(SYS_write, file, bytes, length);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_write, file, bytes, length);
    if (done > 0)
        note('w', file, lseek(file, 0, SEEK_CUR) - done, bytes, done);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int file, off64_t size)
{
    if (!is_watched(file))
        return syscall(SYS_ftruncate, file, size);
    pthread_mutex_lock(&lock);
    int failed = syscall(SYS_ftruncate, file, size);
    if (!failed)
        note('t', file, size, 0, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

static int sync_file(int file, long call)
{
    if (!is_watched(file))
        return syscall(call, file);
    pthread_mutex_lock(&lock);
    note('s', file, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int file) { return sync_file(file, SYS_fsync); }
int fdatasync(int file) { return sync_file(file, SYS_fdatasync); }

int unlink(const char *path)
{
    if (!is_below(path))
        return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!failed)
        note('u', -1, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    return failed;
}

int close(int file)
{
    if (is_watched(file))
        watched[file] = 0;
    return syscall(SYS_close, file);
}
