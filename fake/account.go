package fake

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// account is a line of /etc/passwd or /etc/group.
type account struct{ name, id, home string }

func readAccounts(r io.Reader) ([]account, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var out []account
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 3 {
			continue
		}
		a := account{name: f[0], id: f[2]}
		if len(f) > 5 {
			a.home = f[5]
		}
		out = append(out, a)
	}
	return out, nil
}

func numeric(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// checkUser looks up "user:group" as the runtime does: names in the image's
// files, if those are known; numbers are always there.
func (i *img) checkUser(spec string) error {
	if i.known() == nil {
		return nil
	}
	var users, groups []account
	if i != nil {
		users, groups = i.users, i.groups
	}
	in := func(list []account, name string) bool {
		return name == "" || numeric(name) || slices.ContainsFunc(list, func(a account) bool { return a.name == name })
	}
	user, group, _ := strings.Cut(spec, ":")
	if !in(users, user) {
		return fmt.Errorf("unable to find user %s: no matching entries in passwd file", user)
	}
	if !in(groups, group) {
		return fmt.Errorf("unable to find group %s: no matching entries in group file", group)
	}
	return nil
}

// home is the home directory of "user:group".
func (i *img) home(spec string) string {
	user, _, _ := strings.Cut(spec, ":")
	if user == "" {
		user = "0"
	}
	if i.known() == nil {
		if user == "0" || user == "root" {
			return "/root"
		}
		return "/"
	}
	if i != nil {
		for _, a := range i.users {
			if (a.name == user || a.id == user) && a.home != "" {
				return a.home
			}
		}
	}
	return "/"
}
