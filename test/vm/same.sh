# sh same.sh FLAG…: prints what the files of the cgroup say that the flags make, or fails and prints the difference: under podman with
# crun, under podman with rl-oci (a link to rl in the current directory), and under rl. The image is busybox.
# Those that say what was asked for, not what happens.
cat >files.sh <<'END'
for f in /sys/fs/cgroup/*; do
	case ${f##*/} in *.current | *.peak | *[._]stat | *.local | *.events | *.pressure | *.procs | *.threads | *.kill | *.reclaim) continue ;; esac
	echo "${f##*/} $(cat $f)"
done
END
common="--rm --network none -v $PWD/files.sh:/files.sh"
podman --runtime crun --cgroup-manager=systemd run $common "$@" localhost/busybox sh /files.sh >crun || exit
podman --runtime "$PWD/rl-oci" --cgroup-manager=systemd run $common "$@" localhost/busybox sh /files.sh >rl-oci.out || exit
rl run $common "$@" busybox sh /files.sh >rl || exit
diff crun rl-oci.out && diff crun rl && cat rl
