package dockpod

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func TestParseName(t *testing.T) {
	sandbox := Name{Container: "POD", Pod: "foo", Namespace: "bar", UID: "iamuid", Attempt: 3}
	pause := Name{Container: "pause", Pod: "foo", Namespace: "bar", UID: "iamuid", Attempt: 5}
	random := pause
	random.Suffix = "deadbeef"
	most := pause
	most.Attempt = 1<<32 - 1
	for _, tt := range []struct {
		name string
		in   string
		want Name
		is   error
	}{
		{"sandbox", "k8s_POD_foo_bar_iamuid_3", sandbox, nil},
		{"container", "k8s_pause_foo_bar_iamuid_5", pause, nil},
		{"leading slash", "/k8s_pause_foo_bar_iamuid_5", pause, nil},
		{"suffix", "k8s_pause_foo_bar_iamuid_5_deadbeef", random, nil},
		{"largest attempt", "k8s_pause_foo_bar_iamuid_4294967295", most, nil},
		{"leading zeros", "k8s_pause_foo_bar_iamuid_0000000005", pause, nil},
		{"dots", "k8s_my.app_foo.io_bar_i.d_0", Name{Container: "my.app", Pod: "foo.io", Namespace: "bar", UID: "i.d"}, nil},
		{"hash and a short attempt", "k8s_a.1f_p_n_u_42", Name{Container: "a.1f", Pod: "p", Namespace: "n", UID: "u", Attempt: 42}, nil},
		{"hash, long attempt, suffix", "k8s_a.1f_p_n_u_12345678_00000000",
			Name{Container: "a.1f", Pod: "p", Namespace: "n", UID: "u", Attempt: 12345678, Suffix: "00000000"}, nil},

		{"empty", "", Name{}, ErrNotManaged},
		{"slash", "/", Name{}, ErrNotManaged},
		{"prefix alone", "k8s", Name{}, ErrNotManaged},
		{"longer prefix", "k8sfoo_pause_foo_bar_iamuid_5", Name{}, ErrNotManaged},
		{"upper case prefix", "K8S_pause_foo_bar_iamuid_5", Name{}, ErrNotManaged},
		{"other prefix", "owner_POD_foo_bar_iamuid_4", Name{}, ErrNotManaged},
		{"two slashes", "//k8s_pause_foo_bar_iamuid_5", Name{}, ErrNotManaged},
		{"link alias", "/web/k8s_pause_foo_bar_iamuid_5", Name{}, ErrNotManaged},

		{"prefix and separator", "k8s_", Name{}, ErrInvalidName},
		{"five parts", "k8s_POD_foo_bar_4", Name{}, ErrInvalidName},
		{"seven parts, no suffix", "k8s_POD_foo_bar_iamuid_x_4", Name{}, ErrInvalidName},
		{"eight parts", "k8s_pause_foo_bar_iamuid_5_deadbeef_x", Name{}, ErrInvalidName},
		{"many parts", "k8s" + strings.Repeat("_a", 40), Name{}, ErrInvalidName},
		{"short suffix", "k8s_pause_foo_bar_iamuid_5_deadbee", Name{}, ErrInvalidName},
		{"upper case suffix", "k8s_pause_foo_bar_iamuid_5_DEADBEEF", Name{}, ErrInvalidName},
		{"empty suffix", "k8s_pause_foo_bar_iamuid_5_", Name{}, ErrInvalidName},
		{"underscore in a part", "k8s_a_b_pod_ns_7_3", Name{}, ErrInvalidName},
		{"attempt no number", "k8s_POD_foo_bar_iamuid_notanumber", Name{}, ErrInvalidName},
		{"attempt negative", "k8s_POD_foo_bar_iamuid_-1", Name{}, ErrInvalidName},
		{"attempt with sign", "k8s_POD_foo_bar_iamuid_+1", Name{}, ErrInvalidName},
		{"attempt empty", "k8s_POD_foo_bar_iamuid_", Name{}, ErrInvalidName},
		{"attempt too wide", "k8s_POD_foo_bar_iamuid_4294967296", Name{}, ErrInvalidName},
		{"attempt far too wide", "k8s_POD_foo_bar_iamuid_18446744073709551621", Name{}, ErrInvalidName},
		{"empty container", "k8s__foo_bar_iamuid_4", Name{}, ErrInvalidName},
		{"empty pod", "k8s_POD__bar_iamuid_4", Name{}, ErrInvalidName},
		{"empty namespace", "k8s_POD_foo__iamuid_4", Name{}, ErrInvalidName},
		{"empty UID", "k8s_POD_foo_bar__4", Name{}, ErrInvalidName},
		{"slash inside", "k8s_POD/x_foo_bar_iamuid_4", Name{}, ErrInvalidName},
		{"space", "k8s_POD_foo _bar_iamuid_4", Name{}, ErrInvalidName},
		{"letter beyond ASCII", "k8s_POD_föö_bar_iamuid_4", Name{}, ErrInvalidName},
		{"too long", "k8s_POD_" + strings.Repeat("p", 450) + "_bar_iamuid_4", Name{}, ErrInvalidName},
		{"legacy", "k8s_foo.1234abcd_qux_ns_1234_89abcdef", Name{}, ErrInvalidName},
		{"legacy, decimal suffix", "k8s_foo.1234abcd_qux_ns_1234_12345678", Name{}, ErrInvalidName},
		{"legacy, suffix with zeros", "k8s_foo.1234abcd_qux_ns_1234_00000042", Name{}, ErrInvalidName},
		{"prints as legacy", "k8s_foo.1234abcd_qux_ns_1234_0012345678", Name{}, ErrInvalidName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseName(tt.in)
			if !errors.Is(err, tt.is) || (tt.is == nil && err != nil) {
				t.Fatalf("ParseName(%q): error %v, want %v", tt.in, err, tt.is)
			}
			if other := (map[error]error{ErrNotManaged: ErrInvalidName, ErrInvalidName: ErrNotManaged})[tt.is]; other != nil && errors.Is(err, other) {
				t.Errorf("ParseName(%q): %v is also %v", tt.in, err, other)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseName(%q) mismatch (-want +got):\n%s", tt.in, diff)
			}
			if err == nil {
				if again, err := ParseName(got.String()); err != nil || again != got {
					t.Errorf("ParseName(%q) = %+v, %v; want %+v", got, again, err, got)
				}
			}
		})
	}
}

func TestParseNameErrorText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"web", `parse name "web": not managed by this runtime: want the prefix "k8s_"`},
		{"k8s_a", `parse name "k8s_a": invalid name: want 6 or 7 parts, have 2`},
		{"k8s_a_b_c_d_e_f_g_h", `parse name "k8s_a_b_c_d_e_f_g_h": invalid name: want 6 or 7 parts, have 9`},
		{"k8s_a_b_c_d_x", `parse name "k8s_a_b_c_d_x": invalid name: attempt "x": want a decimal number of 32 bits`},
		{"k8s_a_b_c_d_1_x", `parse name "k8s_a_b_c_d_1_x": invalid name: suffix "x": want 8 digits of lower-case hex`},
		{"k8s_a__c_d_1", `parse name "k8s_a__c_d_1": invalid name: empty pod`},
		{"k8s_a_b/_c_d_1", `parse name "k8s_a_b/_c_d_1": invalid name: "b/": want letters, digits, '.' and '-'`},
		{"k8s_a.b_b_c_d_12345678", `parse name "k8s_a.b_b_c_d_12345678": invalid name: it has the form of a legacy name`},
		{"k8s_a.b_b_c_d_012345678", `parse name "k8s_a.b_b_c_d_012345678": invalid name: the attempt has the form of a legacy name's suffix`},
		{"k8s_" + strings.Repeat("a", 449), `parse name of 453 bytes: invalid name: want at most 449 after the prefix`},
	} {
		_, err := ParseName(tt.in)
		if err == nil || err.Error() != tt.want {
			t.Errorf("ParseName(%q): error %v, want %s", tt.in, err, tt.want)
		}
	}
	if _, err := ParseName("web"); !errdefs.IsPermissionDenied(err) {
		t.Errorf("class of %v is not PermissionDenied", err)
	}
	if _, err := ParseName("k8s_a"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("class of %v is not InvalidArgument", err)
	}
}

func TestNameValidate(t *testing.T) {
	ok := Name{Container: "c", Pod: "p", Namespace: "n", UID: "u"}
	with := func(change func(*Name)) Name {
		n := ok
		change(&n)
		return n
	}
	for _, tt := range []struct {
		name string
		in   Name
		want string // empty: valid
	}{
		{"shortest", ok, ""},
		{"sandbox", with(func(n *Name) { n.Container = "POD" }), ""},
		{"dots and dashes first", with(func(n *Name) { n.Container, n.Pod = ".", "-" }), ""},
		{"suffix", with(func(n *Name) { n.Suffix = "0123abcd" }), ""},
		{"what the kubelet can write at most", Name{
			Container: strings.Repeat("c", 63), Pod: strings.Repeat("p", 253), Namespace: strings.Repeat("n", 63),
			UID: strings.Repeat("u", 36), Attempt: 1<<32 - 1, Suffix: "01234567",
		}, ""},
		{"449 bytes", with(func(n *Name) { n.Pod = strings.Repeat("p", 449-len("_c__n_u_0")) }), ""},
		{"450 bytes", with(func(n *Name) { n.Pod = strings.Repeat("p", 450-len("_c__n_u_0")) }),
			"invalid name: 450 bytes without the prefix; want at most 449"},
		{"450 bytes with the attempt", with(func(n *Name) { n.Pod, n.Attempt = strings.Repeat("p", 449-len("_c__n_u_0")), 10 }),
			"invalid name: 450 bytes without the prefix; want at most 449"},
		{"zero", Name{}, "invalid name: empty container"},
		{"no pod", with(func(n *Name) { n.Pod = "" }), "invalid name: empty pod"},
		{"no namespace", with(func(n *Name) { n.Namespace = "" }), "invalid name: empty namespace"},
		{"no UID", with(func(n *Name) { n.UID = "" }), "invalid name: empty UID"},
		{"separator", with(func(n *Name) { n.Container = "a_b" }), `invalid name: container "a_b": want letters, digits, '.' and '-'`},
		{"slash", with(func(n *Name) { n.Pod = "a/b" }), `invalid name: pod "a/b": want letters, digits, '.' and '-'`},
		{"letter beyond ASCII", with(func(n *Name) { n.UID = "é" }), `invalid name: UID "é": want letters, digits, '.' and '-'`},
		{"no UTF-8", with(func(n *Name) { n.UID = "\xff" }), `invalid name: UID "\xff": want letters, digits, '.' and '-'`},
		{"NUL", with(func(n *Name) { n.Namespace = "\x00" }), `invalid name: namespace "\x00": want letters, digits, '.' and '-'`},
		{"suffix too long", with(func(n *Name) { n.Suffix = "0123abcde" }), `invalid name: suffix "0123abcde": want 8 digits of lower-case hex`},
		{"suffix not hex", with(func(n *Name) { n.Suffix = "0123abcg" }), `invalid name: suffix "0123abcg": want 8 digits of lower-case hex`},
		{"legacy at 8 digits", with(func(n *Name) { n.Container, n.Attempt = "a.1f", 10000000 }),
			`invalid name: container "a.1f" with attempt 10000000 reads as a legacy name`},
		{"not legacy at 7 digits", with(func(n *Name) { n.Container, n.Attempt = "a.1f", 9999999 }), ""},
		{"not legacy at 9 digits", with(func(n *Name) { n.Container, n.Attempt = "a.1f", 100000000 }), ""},
		{"not legacy without hex", with(func(n *Name) { n.Container, n.Attempt = "my.app", 12345678 }), ""},
		{"not legacy with a suffix", with(func(n *Name) { n.Container, n.Attempt, n.Suffix = "a.1f", 12345678, "00000000" }), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.in.Validate()
			got := ""
			if err != nil {
				got = err.Error()
				if !errors.Is(err, ErrInvalidName) || !errdefs.IsInvalidArgument(err) {
					t.Errorf("%v is not ErrInvalidName of class InvalidArgument", err)
				}
			}
			if got != tt.want {
				t.Fatalf("Validate() = %q, want %q", got, tt.want)
			}
			text := tt.in.String() // valid or not, it does not panic
			back, err := ParseName(text)
			if tt.want == "" && (err != nil || back != tt.in) {
				t.Errorf("ParseName(%q) = %+v, %v; want %+v", text, back, err, tt.in)
			}
			if tt.want != "" && err == nil && back == tt.in {
				t.Errorf("ParseName(%q) = %+v, which is not valid", text, back)
			}
		})
	}
}

func TestNaming(t *testing.T) {
	n := Name{Container: "c", Pod: "p", Namespace: "n", UID: "u", Attempt: 1}
	for _, tt := range []struct {
		prefix string
		valid  bool
		text   string
	}{
		{"", true, "k8s_c_p_n_u_1"},
		{"k8s", true, "k8s_c_p_n_u_1"},
		{"ci", true, "ci_c_p_n_u_1"},
		{"7", true, "7_c_p_n_u_1"},
		{"edge-agent.2", true, "edge-agent.2_c_p_n_u_1"},
		{strings.Repeat("a", 63), true, strings.Repeat("a", 63) + "_c_p_n_u_1"},
		{strings.Repeat("a", 64), false, strings.Repeat("a", 64) + "_c_p_n_u_1"},
		{"my_app", false, "my_app_c_p_n_u_1"},
		{"_", false, "__c_p_n_u_1"},
		{"-a", false, "-a_c_p_n_u_1"},
		{".a", false, ".a_c_p_n_u_1"},
		{"a/b", false, "a/b_c_p_n_u_1"},
		{"é", false, "é_c_p_n_u_1"},
	} {
		t.Run(tt.prefix, func(t *testing.T) {
			g := Naming{Prefix: tt.prefix}
			if err := g.Validate(); (err == nil) != tt.valid || (err != nil && !errors.Is(err, ErrInvalidName)) {
				t.Errorf("Validate() = %v, want valid %v", err, tt.valid)
			}
			text := g.Format(n)
			if text != tt.text {
				t.Errorf("Format = %q, want %q", text, tt.text)
			}
			back, err := g.Parse(text)
			if tt.valid && (err != nil || back != n) {
				t.Errorf("Parse(%q) = %+v, %v; want %+v", text, back, err, n)
			}
			if !tt.valid && !errors.Is(err, ErrInvalidName) {
				t.Errorf("Parse(%q) with a prefix that cannot be: error %v, want ErrInvalidName", text, err)
			}
		})
	}
	if _, err := (Naming{Prefix: "ci"}).Parse("k8s_c_p_n_u_1"); !errors.Is(err, ErrNotManaged) {
		t.Errorf("the kubelet's name under another prefix: error %v, want ErrNotManaged", err)
	}
	if _, err := (Naming{Prefix: "ci"}).Parse("ci-2_c_p_n_u_1"); !errors.Is(err, ErrNotManaged) {
		t.Errorf("a name under a longer prefix: error %v, want ErrNotManaged", err)
	}
}

func TestParseLegacyName(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     string
		want   LegacyName
		string string // as printed again; empty: as read, without '/'
		is     error
	}{
		{"as written", "/k8s_bar.5678_foo_ns_1234_0a1b2c3d", LegacyName{"bar", 0x5678, "foo", "ns", "1234", "0a1b2c3d"}, "", nil},
		{"widest hash", "k8s_bar.ffffffff_foo_ns_1234_0a1b2c3d", LegacyName{"bar", 1<<32 - 1, "foo", "ns", "1234", "0a1b2c3d"}, "", nil},
		{"dotted container", "k8s_my.app.1f_foo_ns_1234_0a1b2c3d", LegacyName{"my.app", 0x1f, "foo", "ns", "1234", "0a1b2c3d"}, "", nil},
		{"sandbox", "k8s_POD.d8dbe16c_foo_ns_1234_0a1b2c3d", LegacyName{"POD", 0xd8dbe16c, "foo", "ns", "1234", "0a1b2c3d"}, "", nil},
		{"decimal suffix", "k8s_bar.5678_foo_ns_1234_12345678", LegacyName{"bar", 0x5678, "foo", "ns", "1234", "12345678"}, "", nil},
		{"empty container", "k8s_.5678_foo_ns_1234_0a1b2c3d", LegacyName{"", 0x5678, "foo", "ns", "1234", "0a1b2c3d"}, "", nil},
		{"no hash", "k8s_bar_foo_ns_1234_42", LegacyName{"bar", 0, "foo", "ns", "1234", "42"}, "k8s_bar.0_foo_ns_1234_42", nil},
		{"empty hash", "k8s_bar._foo_ns_1234_42", LegacyName{"bar", 0, "foo", "ns", "1234", "42"}, "k8s_bar.0_foo_ns_1234_42", nil},
		{"hash not hex", "k8s_bar.nothex_foo_ns_1234_42", LegacyName{"bar", 0, "foo", "ns", "1234", "42"}, "k8s_bar.0_foo_ns_1234_42", nil},
		{"hash of 33 bits", "k8s_bar.1ffffffff_foo_ns_1234_42", LegacyName{"bar", 0, "foo", "ns", "1234", "42"}, "k8s_bar.0_foo_ns_1234_42", nil},
		{"upper case hash", "k8s_bar.AB_foo_ns_1234_42", LegacyName{"bar", 0xab, "foo", "ns", "1234", "42"}, "k8s_bar.ab_foo_ns_1234_42", nil},

		{"other prefix", "test_bar.1_foo_ns_1234_42", LegacyName{}, "", ErrNotManaged},
		{"prefix alone", "k8s", LegacyName{}, "", ErrNotManaged},
		{"five parts", "k8s_bar.1_foo_ns_1234", LegacyName{}, "", ErrInvalidName},
		{"seven parts", "k8s_bar.1_foo_ns_1234_42_x", LegacyName{}, "", ErrInvalidName},
		{"present name with suffix", "k8s_bar_foo_ns_1234_42_deadbeef", LegacyName{}, "", ErrInvalidName},
		{"nine parts", "k8s_bar.1_foo_ns_1234_42_x_y_z", LegacyName{}, "", ErrInvalidName},
		{"empty pod", "k8s_bar.1__ns_1234_42", LegacyName{}, "", ErrInvalidName},
		{"empty suffix", "k8s_bar.1_foo_ns_1234_", LegacyName{}, "", ErrInvalidName},
		{"slash", "k8s_bar.1_foo/x_ns_1234_42", LegacyName{}, "", ErrInvalidName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseLegacyName(tt.in)
			if !errors.Is(err, tt.is) || (tt.is == nil && err != nil) {
				t.Fatalf("ParseLegacyName(%q): error %v, want %v", tt.in, err, tt.is)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseLegacyName(%q) mismatch (-want +got):\n%s", tt.in, diff)
			}
			if err != nil {
				return
			}
			want := tt.string
			if want == "" {
				want = strings.TrimPrefix(tt.in, "/")
			}
			if s := got.String(); s != want {
				t.Errorf("String() = %q, want %q", s, want)
			}
			if s := got.Stable() + "_" + got.Suffix; s != want {
				t.Errorf("Stable() + suffix = %q, want %q", s, want)
			}
			if got.IsSandbox() != (got.Container == "POD") {
				t.Errorf("IsSandbox() = %v", got.IsSandbox())
			}
		})
	}
	if _, err := ParseLegacyName("k8s_bar_foo_ns_1234_42_deadbeef_x_y"); err == nil || !strings.Contains(err.Error(), "want 6 parts, have 9") {
		t.Errorf("error %v, want one that counts 9 parts", err)
	}
}

func TestLegacyNameConvert(t *testing.T) {
	app := LegacyName{Container: "app", Hash: 0x1f, Pod: "podname", Namespace: "ns", UID: "uid", Suffix: "0a1b2c3d"}
	infra := app
	infra.Container = "POD"
	for _, tt := range []struct {
		name   string
		in     LegacyName
		docker map[string]string
		want   Name
		labels map[string]string
		err    string
	}{
		{
			name: "container",
			in:   app,
			docker: map[string]string{
				"io.kubernetes.pod.name":                             "podname",
				"io.kubernetes.container.name":                       "app",
				"io.kubernetes.container.hash":                       "1f",
				"io.kubernetes.container.restartCount":               "5",
				"io.kubernetes.container.terminationMessagePath":     "/dev/termination-log",
				"io.kubernetes.container.terminationMessagePolicy":   "File",
				"io.kubernetes.container.preStopHandler":             "{}",
				"io.kubernetes.container.ports":                      "[]",
				"io.kubernetes.pod.terminationGracePeriod":           "30",
				"io.kubernetes.container.ports.of.somebody.else.too": "x",
			},
			want: Name{Container: "app", Pod: "podname", Namespace: "ns", UID: "uid", Attempt: 5},
			labels: map[string]string{
				"io.kubernetes.docker.type":                                   "container",
				"io.kubernetes.pod.name":                                      "podname",
				"io.kubernetes.container.name":                                "app",
				"annotation.io.kubernetes.container.hash":                     "1f",
				"annotation.io.kubernetes.container.restartCount":             "5",
				"annotation.io.kubernetes.container.terminationMessagePath":   "/dev/termination-log",
				"annotation.io.kubernetes.container.terminationMessagePolicy": "File",
				"annotation.io.kubernetes.container.preStopHandler":           "{}",
				"annotation.io.kubernetes.container.ports":                    "[]",
				"io.kubernetes.pod.terminationGracePeriod":                    "30",
				"io.kubernetes.container.ports.of.somebody.else.too":          "x",
			},
		},
		{
			name:   "sandbox without a restart count",
			in:     infra,
			docker: map[string]string{"io.kubernetes.pod.name": "podname"},
			want:   Name{Container: "POD", Pod: "podname", Namespace: "ns", UID: "uid"},
			labels: map[string]string{"io.kubernetes.docker.type": "podsandbox", "io.kubernetes.pod.name": "podname"},
		},
		{
			name:   "no labels",
			in:     app,
			want:   Name{Container: "app", Pod: "podname", Namespace: "ns", UID: "uid"},
			labels: map[string]string{"io.kubernetes.docker.type": "container"},
		},
		{
			name:   "restart count no number",
			in:     app,
			docker: map[string]string{"io.kubernetes.container.restartCount": "-1"},
			err:    `labels["io.kubernetes.container.restartCount"]: "-1"; want a decimal number of 32 bits`,
		},
		{
			name: "empty container",
			in:   LegacyName{Pod: "podname", Namespace: "ns", UID: "uid", Suffix: "42"},
			err:  "invalid name: empty container",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := cloneMap(tt.docker)
			name, labels, err := tt.in.Convert(tt.docker)
			if diff := cmp.Diff(before, tt.docker); diff != "" {
				t.Errorf("the engine's labels changed (-before +after):\n%s", diff)
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !errdefs.IsInvalidArgument(err) {
					t.Fatalf("error %v, want one of class InvalidArgument with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, name); diff != "" {
				t.Errorf("name mismatch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.labels, labels); diff != "" {
				t.Errorf("labels mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func cloneMap(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	c := map[string]string{}
	for k, v := range m {
		c[k] = v
	}
	return c
}

func TestNameFromLabels(t *testing.T) {
	pod := map[string]string{"io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n", "io.kubernetes.pod.uid": "u"}
	with := func(more ...string) map[string]string {
		m := cloneMap(pod)
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		docker map[string]string
		want   Name
		is     error
	}{
		{"container", with("io.kubernetes.container.name", "c"), Name{Container: "c", Pod: "p", Namespace: "n", UID: "u"}, nil},
		{"attempt from dockershim's annotation", with("io.kubernetes.container.name", "c", "annotation.io.kubernetes.container.restartCount", "3"),
			Name{Container: "c", Pod: "p", Namespace: "n", UID: "u", Attempt: 3}, nil},
		{"attempt from dockertools' label", with("io.kubernetes.container.name", "c", "io.kubernetes.container.restartCount", "4"),
			Name{Container: "c", Pod: "p", Namespace: "n", UID: "u", Attempt: 4}, nil},
		{"attempt from dockpod's label", with("io.kubernetes.container.name", "c", "io.dockpod.attempt", "5", "annotation.io.kubernetes.container.restartCount", "x"),
			Name{Container: "c", Pod: "p", Namespace: "n", UID: "u", Attempt: 5}, nil},
		{"sandbox by type", with("io.kubernetes.docker.type", "podsandbox"), Name{Container: "POD", Pod: "p", Namespace: "n", UID: "u"}, nil},
		{"sandbox with an owner", with("io.dockpod.type", "podsandbox"), Name{Container: "POD", Pod: "p", Namespace: "n", UID: "u"}, nil},
		{"no labels", nil, Name{}, ErrNotManaged},
		{"no container", pod, Name{}, ErrNotManaged},
		{"no UID", map[string]string{"io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n", "io.kubernetes.container.name": "c"}, Name{}, ErrNotManaged},
		{"not a name", with("io.kubernetes.container.name", "a_b"), Name{}, ErrInvalidName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := nameFromLabels(tt.docker)
			if !errors.Is(err, tt.is) || (tt.is == nil && err != nil) {
				t.Fatalf("error %v, want %v", err, tt.is)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
	for _, key := range []string{"io.kubernetes.container.restartCount", "io.dockpod.attempt"} {
		var field *FieldError
		_, err := nameFromLabels(with("io.kubernetes.container.name", "c", key, "x"))
		if !errors.As(err, &field) || field.Field != fmt.Sprintf("labels[%q]", key) {
			t.Errorf("error %v, want a FieldError of %q", err, key)
		}
	}
}

func TestPickName(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names []string
		want  string
	}{
		{"none", nil, ""},
		{"one", []string{"/k8s_c_p_n_u_0"}, "k8s_c_p_n_u_0"},
		{"without slash, as Podman gives it", []string{"k8s_c_p_n_u_0"}, "k8s_c_p_n_u_0"},
		{"link alias first", []string{"/other/k8s_c_p_n_u_0", "/k8s_c_p_n_u_0"}, "k8s_c_p_n_u_0"},
		{"link alias last", []string{"/k8s_c_p_n_u_0", "/other/db"}, "k8s_c_p_n_u_0"},
		{"link alias alone", []string{"/other/db"}, ""},
		{"foreign", []string{"/web"}, "web"},
		{"managed before foreign", []string{"/web", "/k8s_unidentified"}, "k8s_unidentified"},
		{"the separator belongs to the prefix", []string{"/k8sfoo_bar", "/k8s_x"}, "k8s_x"},
		{"first of two foreign", []string{"/a", "/b"}, "a"},
		{"empty entries", []string{"", "/", "/a"}, "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pickName(tt.names, Naming{}); got != tt.want {
				t.Errorf("pickName(%q) = %q, want %q", tt.names, got, tt.want)
			}
		})
	}
	if got := pickName([]string{"/k8s_c_p_n_u_0", "/ci_c_p_n_u_0"}, Naming{Prefix: "ci"}); got != "ci_c_p_n_u_0" {
		t.Errorf("pickName with an owner = %q", got)
	}
}

func TestRandomSuffix(t *testing.T) {
	got, err := randomSuffix(bytes.NewReader([]byte{0, 0x0a, 0xff, 0x10, 0x99}))
	if err != nil || got != "000aff10" {
		t.Errorf("randomSuffix = %q, %v; want %q", got, err, "000aff10")
	}
	if _, err := randomSuffix(bytes.NewReader([]byte{1, 2, 3})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short source: error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	seen := map[string]bool{}
	for range 8 {
		s, err := randomSuffix(nil)
		if err != nil || !isSuffix(s) {
			t.Fatalf("randomSuffix(nil) = %q, %v", s, err)
		}
		seen[s] = true
	}
	if len(seen) < 2 {
		t.Errorf("eight suffixes from crypto/rand are all equal: %v", seen)
	}
}

func TestParseContainerID(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct {
		in   string
		want ContainerID
		ok   bool
	}{
		{"docker://" + id, ContainerID{"docker", id}, true},
		{`"docker://` + id + `"`, ContainerID{"docker", id}, true},
		{"cri-o://abc", ContainerID{"cri-o", "abc"}, true},
		{"docker://a:/b", ContainerID{"docker", "a:/b"}, true},
		{"", ContainerID{}, false},
		{`""`, ContainerID{}, false},
		{`"`, ContainerID{}, false},
		{id, ContainerID{}, false},
		{"docker:" + id, ContainerID{}, false},
		{"docker://", ContainerID{}, false},
		{"://" + id, ContainerID{}, false},
		{"docker://a://b", ContainerID{}, false},
		{`"docker://abc`, ContainerID{}, false},
		{`docker://abc"`, ContainerID{}, false},
		{`""docker://abc""`, ContainerID{}, false},
		{"docker:////://", ContainerID{}, false},
	} {
		got, err := ParseContainerID(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseContainerID(%q) = %+v, %v; want %+v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
		if err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("class of %v is not InvalidArgument", err)
		}
		if s := got.String(); tt.ok && s != strings.Trim(tt.in, `"`) {
			t.Errorf("String() = %q, want %q", s, strings.Trim(tt.in, `"`))
		}
	}
}

func TestLogSymlink(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	if got, want := LogSymlink("/var/log/containers", "foo_new", "bar", "abc123"), "/var/log/containers/foo_new_bar-abc123.log"; got != want {
		t.Errorf("LogSymlink = %q, want %q", got, want)
	}
	// The parts of the kubelet's own test: the ID is cut to 51 of 80 bytes.
	got := LogSymlink("/dir", strings.Repeat("p", 128), strings.Repeat("c", 70), strings.Repeat("d", 80))
	if want := "/dir/" + strings.Repeat("p", 128) + "_" + strings.Repeat("c", 70) + "-" + strings.Repeat("d", 51) + ".log"; got != want {
		t.Errorf("LogSymlink = %q, want %q", got, want)
	}
	long := strings.Repeat("p", 253) + "_ns"
	if a, b := LogSymlink("/d", long, "c", id), LogSymlink("/d", long, "other", id[1:]+"f"); a != b {
		t.Errorf("the kubelet's links of two long names differ: %q, %q", a, b)
	}
	if a, b := LogSymlinkUnique("/d", long, "c", id), LogSymlinkUnique("/d", long, "c", id[1:]+"f"); a == b {
		t.Errorf("LogSymlinkUnique gives two containers one path: %q", a)
	}
}

func TestLogSymlinkUnique(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	p, c := strings.Repeat, strings.Repeat("c", 63)
	ns := "_" + strings.Repeat("n", 63)
	for _, tt := range []struct {
		name           string
		pod, container string
		want           string
	}{
		{"short", "foo_new", "bar", "foo_new_bar-" + id + ".log"},
		{"just fits", p("p", 182) + "_n", "c", p("p", 182) + "_n_c-" + id + ".log"},
		{"one byte over", p("p", 183) + "_n", "c", p("p", 182) + "_n_c-" + id + ".log"},
		{"all at the limit of Kubernetes", p("p", 253) + ns, c, p("p", 58) + ns + "_" + c + "-" + id + ".log"},
		{"cut at a dot", p("p", 180) + "..-ppppp_n", "c", p("p", 180) + "_n_c-" + id + ".log"},
		{"cut inside a rune", p("é", 100) + "_n", "c", p("é", 91) + "_n_c-" + id + ".log"},
		{"cut inside another rune", p("é", 100) + "_nn", "c", p("é", 90) + "_nn_c-" + id + ".log"},
		{"no namespace", p("p", 300), "c", p("p", 184) + "_c-" + id + ".log"},
		{"long namespace", "p_" + p("n", 300), "c", "_" + p("n", 183) + "_c-" + id + ".log"},
		{"long container", "p_n", p("c", 300), "_" + p("c", 185) + "-" + id + ".log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := LogSymlinkUnique("/d", tt.pod, tt.container, id)
			if got != "/d/"+tt.want {
				t.Errorf("LogSymlinkUnique = %q, want %q", got, "/d/"+tt.want)
			}
			if n := len(path.Base(got)); n > 255 {
				t.Errorf("the base name has %d bytes", n)
			}
		})
	}
}

func TestParseLogSymlink(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	type parts struct{ Pod, Container, ID string }
	for _, tt := range []struct {
		name string
		base string
		want parts
		ok   bool
	}{
		{"kubelet's", "coredns-558bd4d5db-8jxgr_kube-system_coredns-" + id + ".log", parts{"coredns-558bd4d5db-8jxgr_kube-system", "coredns", id}, true},
		{"short ID", "foo_new_bar-abc123.log", parts{"foo_new", "bar", "abc123"}, true},
		{"dashes and dots", "a-b.c_n-s_c-d-abc123.log", parts{"a-b.c_n-s", "c-d", "abc123"}, true},
		{"shortened", path.Base(LogSymlinkUnique("", strings.Repeat("p", 253)+"_ns", "c", id)), parts{strings.Repeat("p", 181) + "_ns", "c", id}, true},
		{"cut by the kubelet to nothing of the ID", path.Base(LogSymlink("", strings.Repeat("p-f", 85)+"_ns", "c", id)), parts{}, false},
		{"cut by the kubelet inside the ID", path.Base(LogSymlink("", strings.Repeat("p", 185)+"_ns", "c", id)), parts{}, false},
		{"empty", "", parts{}, false},
		{"suffix alone", ".log", parts{}, false},
		{"other suffix", "foo_new_bar-abc123.log.1", parts{}, false},
		{"no ID", "foo_new_bar.log", parts{}, false},
		{"empty ID", "foo_new_bar-.log", parts{}, false},
		{"ID not hex", "foo_new_bar-xyz.log", parts{}, false},
		{"no container", "foo_new_-abc123.log", parts{}, false},
		{"no pod", "_bar-abc123.log", parts{}, false},
		{"no separator", "bar-abc123.log", parts{}, false},
		{"a path", "d/foo_new_bar-abc123.log", parts{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod, container, id, err := ParseLogSymlink(tt.base)
			if (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrInvalidName)) {
				t.Errorf("ParseLogSymlink(%q): error %v, want ok %v", tt.base, err, tt.ok)
			}
			if diff := cmp.Diff(tt.want, parts{pod, container, id}); diff != "" {
				t.Errorf("ParseLogSymlink(%q) mismatch (-want +got):\n%s", tt.base, diff)
			}
		})
	}
}

// namingVectors tells where we do not answer as the kubelet did.
var namingVectors = map[string]overruled{
	"naming-build-parse/038": {`{"podFullName":"foo_ns","podUID":"1234","containerName":"bar","hash":0}`,
		"a hash wider than 32 bits cannot be read; the maximum would be some other container's hash"},
	"naming-build-parse/039": {`{"podFullName":"foo_ns","podUID":"1234","containerName":"bar.1","hash":2}`,
		"the hash stands behind the last dot, so that a container with dots in its name keeps it"},
	"naming-build-parse/055": {`{"ids":["a"]}`,
		"the first name is a link alias; the container's own name is the second"},
}

func TestNamingVectors(t *testing.T) {
	type metadata struct {
		Name, Namespace, UID string
		Attempt              uint32
	}
	type input struct {
		Prefix, Name                               string
		Sandbox, Container                         metadata
		PodName, PodNamespace, PodUID, PodFullName string
		ContainerName                              string
		ContainerHash                              uint64
		Containers                                 []struct {
			ID    string
			Names []string
		}
	}
	sandboxOf := func(n Name) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": n.Pod, "namespace": n.Namespace, "uid": n.UID, "attempt": n.Attempt}}
	}
	containerOf := func(n Name) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": n.Container, "attempt": n.Attempt}}
	}
	legacyOf := func(l LegacyName) map[string]any {
		return map[string]any{
			"podFullName": l.Pod + "_" + l.Namespace, "podUID": l.UID, "containerName": l.Container, "hash": l.Hash,
		}
	}
	randomized := func(t *testing.T, name string) string {
		suffix, err := randomSuffix(nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		n.Suffix = suffix
		return n.String()
	}
	for _, c := range loadVectors(t, "naming-build-parse.json") {
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[input](t, c)
			var got map[string]any
			switch c.Op {
			case "sandbox_name.parse":
				if n, err := ParseName(in.Name); err == nil && n.IsSandbox() {
					got = sandboxOf(n)
				}
			case "container_name.parse":
				if n, err := ParseName(in.Name); err == nil {
					got = containerOf(n)
				}
			case "container_name.make":
				n := Name{Container: in.Container.Name, Pod: in.Sandbox.Name, Namespace: in.Sandbox.Namespace, UID: in.Sandbox.UID, Attempt: in.Container.Attempt}
				got = map[string]any{"name": n.String()}
			case "sandbox_name.make":
				n := Name{Container: SandboxContainerName, Pod: in.Sandbox.Name, Namespace: in.Sandbox.Namespace, UID: in.Sandbox.UID, Attempt: in.Sandbox.Attempt}
				got = map[string]any{"name": n.String()}
			case "sandbox_name.randomize_then_parse":
				text := randomized(t, in.Name)
				if n, err := ParseName(text); err == nil && n.IsSandbox() {
					got = sandboxOf(n)
					got["randomized"] = text
				}
			case "container_name.randomize_then_parse":
				text := randomized(t, in.Name)
				if n, err := ParseName(text); err == nil {
					got = containerOf(n)
					got["randomized"] = text
				}
			case "docker_name.parse":
				if l, err := (Naming{Prefix: in.Prefix}).parseLegacy(in.Name); err == nil {
					got = legacyOf(l)
				}
			case "docker_name.roundtrip":
				const hash = 0xfedcba98
				l := LegacyName{Container: in.ContainerName, Hash: hash, Pod: in.PodName, Namespace: in.PodNamespace, UID: in.PodUID, Suffix: "0a1b2c3d"}
				if back, err := ParseLegacyName(l.String()); err == nil {
					got = legacyOf(back)
					got["hashPreserved"] = back.Hash == hash
				}
			case "docker_name.build":
				suffix, err := randomSuffix(nil)
				if err != nil {
					t.Fatal(err)
				}
				pod, namespace, _ := strings.Cut(in.PodFullName, "_")
				l := LegacyName{Container: in.ContainerName, Hash: in.ContainerHash, Pod: pod, Namespace: namespace, UID: in.PodUID, Suffix: suffix}
				got = map[string]any{
					"stableName": l.Stable(), "uniqueName": l.String(),
					"uniqueIDIsSuffixOfUniqueName": strings.HasSuffix(l.String(), "_"+suffix),
				}
			case "managed.list":
				ids := []string{}
				g := Naming{Prefix: in.Prefix}
				for _, ctr := range in.Containers {
					if _, ok := g.after(pickName(ctr.Names, g)); ok {
						ids = append(ids, ctr.ID)
					}
				}
				got = map[string]any{"ids": ids}
			case "managed.find":
				g := Naming{Prefix: in.Prefix}
				for _, ctr := range in.Containers {
					l, err := g.parseLegacy(pickName(ctr.Names, g))
					if err == nil && l.Pod+"_"+l.Namespace == in.PodFullName && l.Container == in.ContainerName &&
						(in.PodUID == "" || l.UID == in.PodUID) {
						got = map[string]any{"id": ctr.ID}
						break
					}
				}
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
			checkVector(t, c, namingVectors, got, "calls") // no engine is asked here
		})
	}
}

func TestLegacyConvertVectors(t *testing.T) {
	type input struct {
		Names      []string
		Labels     map[string]string
		Containers []struct{ ID, Name string }
	}
	for _, c := range loadVectors(t, "legacy-convert.json") {
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[input](t, c)
			legacy := 0
			ids := map[bool][]string{false: {}, true: {}} // by "is a sandbox"
			for _, ctr := range in.Containers {
				if n, err := ParseName(ctr.Name); err == nil {
					ids[n.IsSandbox()] = append(ids[n.IsSandbox()], ctr.ID)
				} else if l, err := ParseLegacyName(ctr.Name); err == nil {
					legacy++
					ids[l.IsSandbox()] = append(ids[l.IsSandbox()], ctr.ID)
				} else {
					t.Fatalf("%q is neither: %v", ctr.Name, err)
				}
			}
			var got map[string]any
			switch c.Op {
			case "legacy.convert":
				l, err := ParseLegacyName(pickName(in.Names, Naming{}))
				if err != nil {
					break
				}
				n, labels, err := l.Convert(in.Labels)
				if err == nil {
					got = map[string]any{"names": []string{n.String()}, "labels": labels}
				}
			case "legacy.cleanup_done":
				got = map[string]any{"done": legacy == 0}
			case "legacy.list_containers":
				got = map[string]any{"ids": ids[false]}
			case "legacy.list_sandboxes":
				got = map[string]any{"ids": ids[true]}
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
			checkVector(t, c, nil, got)
		})
	}
}

func TestLogSymlinkVectors(t *testing.T) {
	for _, c := range loadVectors(t, "log-symlink.json") {
		t.Run(c.ID, func(t *testing.T) {
			switch c.Op {
			case "log_symlink.path":
				in := vectorIn[struct{ Dir, PodFullName, ContainerName, DockerID string }](t, c)
				checkVector(t, c, nil, map[string]any{"path": LogSymlink(in.Dir, in.PodFullName, in.ContainerName, in.DockerID)})
			case "log_symlink.on_start", "log_symlink.on_remove", "log_driver.supported":
				// These make and remove links: not a matter of names.
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
		})
	}
}

// splitName reads a name the plain way: what BenchmarkParseName compares
// with, and a second opinion for FuzzParseName.
func splitName(s string) (Name, bool) {
	f := strings.Split(strings.TrimPrefix(s, "/"), "_")
	if len(f) < 6 || len(f) > 7 || f[0] != "k8s" {
		return Name{}, false
	}
	attempt, err := strconv.ParseUint(f[5], 10, 32)
	if err != nil {
		return Name{}, false
	}
	n := Name{Container: f[1], Pod: f[2], Namespace: f[3], UID: f[4], Attempt: uint32(attempt)}
	if len(f) == 7 {
		n.Suffix = f[6]
	}
	return n, true
}

var legalName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"", "/", "k8s", "k8s_", "//k8s_a_b_c_d_0", "/k8s_POD_foo_bar_iamuid_3", "k8s_pause_foo_bar_iamuid_5_deadbeef",
		"k8s_a.1f_p_n_u_12345678", "k8s_a.1f_p_n_u_0012345678", "k8s_a.1f_p_n_u_000000001", "k8s_a_b_c_d_4294967296",
		"k8s_a\xdfb_c_d_5_6", "k8s_abc\x0fdefgh_b_c_d_1", "k8s_abcdefg/_b_c_d_1", "k8s_a_b_c_d_1_00000000_00000000",
		"k8s_a_b_c_d_5_", "k8s______", "k8s_a_b_c_d_007", "k8s_\xff_b_c_d_1", "owner_POD_foo_bar_iamuid_4",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if errors.Is(err, ErrNotManaged) == errors.Is(err, ErrInvalidName) {
				t.Errorf("ParseName(%q): %v is not exactly one of ErrNotManaged and ErrInvalidName", s, err)
			}
			if n != (Name{}) {
				t.Errorf("ParseName(%q) = %+v beside the error %v", s, n, err)
			}
			// What is refused is not a name in its plain form.
			if plain, ok := splitName(s); ok && plain.Validate() == nil && plain.String() == strings.TrimPrefix(s, "/") {
				t.Errorf("ParseName(%q): %v, but it is the text of %+v", s, err, plain)
			}
			return
		}
		if err := n.Validate(); err != nil {
			t.Errorf("ParseName(%q) = %+v: %v", s, n, err)
		}
		if plain, ok := splitName(s); !ok || plain != n {
			t.Errorf("ParseName(%q) = %+v, the plain way %+v, %v", s, n, plain, ok)
		}
		back, err := ParseName(n.String())
		if err != nil || back != n {
			t.Errorf("ParseName(%q) = %+v, %v; want %+v", n, back, err, n)
		}
		// The text differs in the slash and the attempt's leading zeros alone.
		parts := strings.Split(strings.TrimPrefix(s, "/"), "_")
		if parts[5] = strings.TrimLeft(parts[5], "0"); parts[5] == "" {
			parts[5] = "0"
		}
		if text := strings.Join(parts, "_"); text != n.String() {
			t.Errorf("ParseName(%q) prints as %q, want %q", s, n, text)
		}
	})
}

func FuzzNameRoundTrip(f *testing.F) {
	f.Add("pause", "foo", "bar", "iamuid", uint32(5), "", "")
	f.Add("POD", "foo.io", "bar", "0-1", uint32(1<<32-1), "deadbeef", "ci")
	f.Add("a.1f", "p", "n", "u", uint32(12345678), "", "")
	f.Add("a.1f", "p", "n", "u", uint32(12345678), "00000000", "k8s")
	f.Add("a_b", "p", "n", "u", uint32(0), "", "my_app")
	f.Add("c", strings.Repeat("p", 440), "n", "u", uint32(0), "", strings.Repeat("a", 63))
	f.Add("", "\xff", "n/", "é", uint32(0), "DEADBEEF", "-")
	f.Fuzz(func(t *testing.T, container, pod, namespace, uid string, attempt uint32, suffix, prefix string) {
		n := Name{container, pod, namespace, uid, attempt, suffix}
		g := Naming{Prefix: prefix}
		text := g.Format(n) // does not panic, whatever it is
		errName, errPrefix := n.Validate(), g.Validate()
		back, err := g.Parse(text)
		if errName != nil || errPrefix != nil {
			if err == nil && back == n {
				t.Errorf("Parse(%q) = %+v, though %v, %v", text, back, errName, errPrefix)
			}
			return
		}
		if err != nil || back != n {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", text, back, err, n)
		}
		if back, err := g.Parse("/" + text); err != nil || back != n {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", "/"+text, back, err, n)
		}
		if len(text) > maxNameLen || !legalName.MatchString(text) {
			t.Errorf("an engine or our own limit refuses %q (%d bytes)", text, len(text))
		}
	})
}

func FuzzParseLegacyName(f *testing.F) {
	for _, s := range []string{
		"", "k8s", "/k8s_bar.5678_foo_ns_1234_42", "k8s_my.app.1f_foo_ns_1234_0a1b2c3d", "k8s_bar.nothex_foo_ns_1234_42",
		"k8s_bar.1ffffffff_foo_ns_1234_42", "k8s_._foo_ns_1234_42", "k8s_bar_foo_ns_1234_12345678", "k8s_a.1_b_c_d_e_f", "test_a.1_b_c_d_e",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLegacyName(s)
		if err != nil {
			if errors.Is(err, ErrNotManaged) == errors.Is(err, ErrInvalidName) || l != (LegacyName{}) {
				t.Errorf("ParseLegacyName(%q) = %+v, %v", s, l, err)
			}
			return
		}
		if back, err := ParseLegacyName(l.String()); err != nil || back != l {
			t.Errorf("ParseLegacyName(%q) = %+v, %v; want %+v", l, back, err, l)
		}
		if strings.Count(l.Stable(), "_") != 4 || !strings.HasPrefix(l.String(), l.Stable()+"_") {
			t.Errorf("Stable() = %q, String() = %q", l.Stable(), l)
		}
		// What the kubelet wrote is never taken for a present name.
		if isSuffix(l.Suffix) {
			if n, err := ParseName(l.String()); err == nil {
				t.Errorf("ParseName(%q) = %+v, which is a legacy name", l, n)
			}
		}
	})
}

func FuzzLogSymlink(f *testing.F) {
	id := strings.Repeat("0123456789abcdef", 4)
	f.Add("foo_new", "bar", id)
	f.Add(strings.Repeat("p", 253)+"_"+strings.Repeat("n", 63), strings.Repeat("c", 63), id)
	f.Add(strings.Repeat("é", 200)+"_n", "c", id)
	f.Add(strings.Repeat("\x80", 300), strings.Repeat("世", 100), "0")
	f.Add("p_"+strings.Repeat("-", 300), "", "abc")
	f.Fuzz(func(t *testing.T, pod, container, id string) {
		if strings.Contains(pod+container+id, "/") {
			return // would be a path of its own; the arguments are not checked
		}
		plain := pod + "_" + container + "-" + id
		seed := path.Base(LogSymlink("/d", pod, container, id))
		if want := plain[:min(len(plain), 251)] + ".log"; seed != want {
			t.Errorf("LogSymlink: base name %q, want %q", seed, want)
		}
		base := path.Base(LogSymlinkUnique("/d", pod, container, id))
		if len(plain) <= 251 && base != seed {
			t.Errorf("LogSymlinkUnique = %q, LogSymlink = %q, though it fits", base, seed)
		}
		if !strings.HasSuffix(base, "-"+id+".log") {
			t.Errorf("LogSymlinkUnique = %q does not end in the ID %q", base, id)
		}
		if len(id) <= 64 && len(base) > 255 {
			t.Errorf("LogSymlinkUnique = %q has %d bytes", base, len(base))
		}
		if utf8.ValidString(plain) && !utf8.ValidString(base) {
			t.Errorf("LogSymlinkUnique = %q is not UTF-8", base)
		}
		gotPod, gotContainer, gotID, err := ParseLogSymlink(base)
		if err != nil {
			return
		}
		if again := path.Base(LogSymlinkUnique("/d", gotPod, gotContainer, gotID)); again != base {
			t.Errorf("%q reads as %q, %q, %q, which is %q", base, gotPod, gotContainer, gotID, again)
		}
		if len(plain) <= 250 && !strings.Contains(container, "_") && !strings.Contains(id, "-") &&
			(gotPod != pod || gotContainer != container || gotID != id) {
			t.Errorf("%q reads as %q, %q, %q; want %q, %q, %q", base, gotPod, gotContainer, gotID, pod, container, id)
		}
	})
}

// benchNames are names as a kubelet writes them.
var benchNames = []string{
	"/k8s_POD_coredns-558bd4d5db-8jxgr_kube-system_6bbe7f3c-9b4f-4f40-9ad5-0a8a4f4f6b1e_0",
	"/k8s_coredns_coredns-558bd4d5db-8jxgr_kube-system_6bbe7f3c-9b4f-4f40-9ad5-0a8a4f4f6b1e_12",
	"/k8s_web_web-7f9c8d6b5-x2x4z_default_3f0b0f0e-6b7a-4a55-8a8e-2f8f3a0f7d10_0",
	"/k8s_istio-proxy_productpage-v1-6b746f74dc-9stvs_bookinfo_5d1d1a58-4e9c-4c3b-9d5a-0b9b4c0f0c77_3_1f2e3d4c",
}

func TestParseNameAllocs(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func()
	}{
		{"ParseName", func() {
			for _, s := range benchNames {
				if _, err := ParseName(s); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"with an owner", func() {
			if _, err := (Naming{Prefix: "edge-agent"}).Parse("/edge-agent_web_p_n_3f0b0f0e-6b7a-4a55-8a8e-2f8f3a0f7d10_7"); err != nil {
				t.Fatal(err)
			}
		}},
		{"ParseLegacyName", func() {
			if _, err := ParseLegacyName("/k8s_web.1f2e3d4c_p_n_3f0b0f0e-6b7a-4a55-8a8e-2f8f3a0f7d10_0a1b2c3d"); err != nil {
				t.Fatal(err)
			}
		}},
		{"pickName", func() {
			if pickName([]string{"/other/db", "/k8s_c_p_n_u_0"}, Naming{}) == "" {
				t.Fatal("no name")
			}
		}},
	} {
		if n := testing.AllocsPerRun(100, tt.f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
	}
}

// BenchmarkParseName compares ParseName with the plain form, as cri-dockerd
// has it: strings.Split, no look at the parts, the result on the heap.
func BenchmarkParseName(b *testing.B) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = strings.Replace(benchNames[i%len(benchNames)], "_", "_"+strings.Repeat("c", i%17)+strconv.Itoa(i), 1)
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := ParseName(names[i%len(names)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("split", func(b *testing.B) {
		b.ReportAllocs()
		var last *Name
		for i := 0; b.Loop(); i++ {
			n, ok := splitName(names[i%len(names)])
			if !ok {
				b.Fatal("not a name")
			}
			last = &n
		}
		runtime.KeepAlive(last)
	})
}

func BenchmarkNameString(b *testing.B) {
	n := Name{Container: "coredns", Pod: "coredns-558bd4d5db-8jxgr", Namespace: "kube-system", UID: "6bbe7f3c-9b4f-4f40-9ad5-0a8a4f4f6b1e", Attempt: 12}
	b.ReportAllocs()
	for b.Loop() {
		if n.String() == "" {
			b.Fatal("empty")
		}
	}
}

// TestCutParts tries each byte at each place of a word, and behind the last
// whole one.
func TestCutParts(t *testing.T) {
	for c := range 256 {
		for at := range 11 {
			text := []byte("abcdefghijk")
			text[at] = byte(c)
			var end [6]int
			got, want := cutParts(string(text), &end), 0
			switch {
			case c == '_':
				want = 2
			case strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", rune(c)) && c < utf8.RuneSelf:
				want = 1
			}
			if got != want {
				t.Errorf("cutParts(%q) = %d, want %d", text, got, want)
			}
			if c == '_' && (end[0] != at || end[1] != len(text)) {
				t.Errorf("cutParts(%q): ends %v, want %d and %d", text, end, at, len(text))
			}
		}
	}
	for n := range 12 {
		for _, part := range []string{"", "a", "abcdefg"} {
			text := part + strings.Repeat("_"+part, n)
			want := n + 1
			if want > 6 {
				want = 0
			}
			var end [6]int
			if got := cutParts(text, &end); got != want {
				t.Errorf("cutParts(%q) = %d, want %d", text, got, want)
			}
			for i := range want {
				if at := (i+1)*len(part) + i; end[i] != at {
					t.Errorf("cutParts(%q): part %d ends at %d, want %d", text, i, end[i], at)
				}
			}
		}
	}
}
