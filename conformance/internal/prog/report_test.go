package prog

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	r := &Report{
		Mounts: parseMounts("36 35 98:0 /sub /a\\040b\\134 ro,noexec shared:1 master:2 - tmpfs none rw,size=4k\nshort\n37 35 0:1 / /x rw - ext4 /dev/vda rw\n"),
		Limits: parseLimits("Limit                     Soft Limit           Hard Limit           Units     \n" +
			"Max open files            1024                 unlimited            files     \n"),
		Member: parseCgroup("3:cpu,cpuacct:/pod/id\n0::/unified:colon\nshort\n"),
	}
	r.fillStatus("Name:\tprog\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t0000000000000401\nNoNewPrivs:\t1\nSeccomp:\t2\nOdd:\n")
	want := &Report{
		UID: 2, GID: 6, Groups: []int{9, 10}, Effective: 1 | 1<<10, NoNewPrivs: true, Seccomp: 2, SeccompFilters: -1,
		Mounts: []MountPoint{
			{Root: "/sub", Target: `/a b\`, Type: "tmpfs", Source: "none", Options: []string{"ro", "noexec"}, Super: []string{"rw", "size=4k"}, Propagation: []string{"shared", "master"}},
			{Root: "/", Target: "/x", Type: "ext4", Source: "/dev/vda", Options: []string{"rw"}, Super: []string{"rw"}},
		},
		Limits: map[string]Limit{"Max open files": {1024, -1}},
		Member: map[string]string{"cpu": "/pod/id", "cpuacct": "/pod/id", "": "/unified:colon"},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("report mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"CHOWN", "NET_BIND_SERVICE"}, r.Effective.Names()); diff != "" {
		t.Errorf("names mismatch (-want +got):\n%s", diff)
	}
	if c := Caps(1 << 63); c.Has("CHOWN") || c.Has("NOSUCH") || c.Names()[0] != "63" {
		t.Errorf("an unknown capability is %q", c.Names())
	}
}

// A program that is no process says so, and fails.
func TestReportOfNoProcess(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Main(World{Args: []string{"report"}, Stdout: &out, Stderr: &errs}); code == 0 || out.Len() > 0 || errs.Len() == 0 {
		t.Errorf("code %d, output %q, errors %q", code, out.String(), errs.String())
	}
}
