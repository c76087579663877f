# Sourced, from the runfiles' root, by test scripts that start mpirun.
#
# OpenMPI names a job's shared memory and its session directory after the host, the user and the
# process number of mpirun. In Bazel's sandbox process numbers start over, while /dev/shm and /tmp
# are everybody's: jobs of two tests that run at the same time get the same names, map each other's
# memory, and hang or crash. So every test gets a folder of its own for both. Its path is short:
# the session directory holds a socket, whose name may not have more than 107 characters.
set -uo pipefail # as in the scripts that source this

room=/dev/shm
[[ -w $room ]] || room=/tmp
TMPDIR=$(mktemp -d "$room/eq.XXXXXX") || exit 1
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR
export OMPI_MCA_btl_vader_backing_directory=$TMPDIR
export OMPI_MCA_osc_sm_backing_directory=$TMPDIR
export OMPI_MCA_shmem_mmap_backing_file_base_dir=$TMPDIR

# In containers tests are often root's.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# A core for each rank.
export OMP_NUM_THREADS=1
