package fake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
)

// Image describes an image for [Docker.AddImageConfig]. The zero value of each
// field but Refs is usable.
type Image struct {
	// Refs are its names: "app:1", "registry.test/app@sha256:…". None makes
	// an image without a name.
	Refs    []string
	Config  container.Config // of what a container inherits; Image is not looked at
	Size    int64            // 0: one megabyte
	Layers  []int64          // sizes of its layers; nil: one layer of Size
	Created time.Time        // zero: now
	Arch    string           // "amd64" if empty
	// Files are the names of its files with their modes. A container whose
	// command is not among them fails to start, and so does one whose
	// command cannot be executed. Nil: any command is there.
	Files map[string]fs.FileMode
}

// AddImage puts an image with this name into the engine and returns its ID.
// Any command is there in it; its own is "/bin/main". The name is normalised
// as Docker does: "app" is docker.io/library/app:latest. It panics if ref is
// not a reference.
func (d *Docker) AddImage(ref string) (id string) {
	return d.AddImageConfig(Image{Refs: []string{ref}, Config: container.Config{Cmd: []string{"/bin/main"}}})
}

// AddImageConfig puts an image into the engine and returns its ID. A name that
// another image has moves to this one.
func (d *Docker) AddImageConfig(i Image) (id string) {
	d.lock()
	defer d.mu.Unlock()
	made := d.makeImage(i)
	if known, ok := d.images[made.id]; ok {
		made = known
	}
	d.images[made.id] = made
	for _, ref := range i.Refs {
		d.bind(made, mustParse(ref))
	}
	return made.id
}

func mustParse(ref string) reference.Named {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		panic(fmt.Sprintf("fake: reference %q: %v", ref, err))
	}
	return named
}

// makeImage makes an image that no other call makes: its layer is its own.
func (d *Docker) makeImage(i Image) *img {
	config, err := json.Marshal(i.Config)
	if err != nil {
		panic(fmt.Sprintf("fake: encode the configuration of an image: %v", err))
	}
	created := i.Created
	if created.IsZero() {
		created = d.now()
	}
	c := imageConfig{Architecture: cmp.Or(i.Arch, "amd64"), OS: "linux", Created: created.UTC(), Config: config}
	c.RootFS.Type = "layers"
	sizes := i.Layers
	if len(sizes) == 0 {
		sizes = []int64{cmp.Or(i.Size, 1<<20)}
	}
	for range sizes {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, "sha256:"+d.newID("layer"))
		c.History = append(c.History, step{Created: created.UTC(), CreatedBy: "dockpod/fake"})
	}
	raw, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("fake: encode an image: %v", err))
	}
	made, err := newImage(raw)
	if err != nil {
		panic(fmt.Sprintf("fake: decode an image: %v", err))
	}
	for n, size := range sizes {
		made.layers[n].size = size
	}
	if i.Files != nil {
		made.files = files{}
		for name, mode := range i.Files {
			name = path.Join("/", name)
			made.files[name] = mode
			for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
				made.files[dir] = fs.ModeDir | 0o755
			}
		}
	}
	return made
}

// DropImage makes an image vanish from under its containers, as a damaged
// store does: no conflict is looked for. ref is a name or an ID. It panics if
// there is no such image.
func (d *Docker) DropImage(ref string) {
	d.lock()
	defer d.mu.Unlock()
	i := d.mustLookup(ref)
	for _, r := range i.references() {
		d.unbind(r)
	}
	delete(d.images, i.id)
}

// MoveTag makes tag a name of the image that ref denotes; an image that had it
// loses it. It panics if there is no such image.
func (d *Docker) MoveTag(tag, ref string) {
	d.lock()
	defer d.mu.Unlock()
	i := d.mustLookup(ref)
	d.bind(i, mustParse(tag))
	d.imageEvent(i, "tag", i.id, familiar(mustParse(tag)))
}

func (d *Docker) mustLookup(ref string) *img {
	i, err := d.lookup(ref)
	if err != nil {
		panic("fake: " + err.Error())
	}
	return i
}

// must returns a container for a verb of the world. A test that names one that
// is not there is wrong.
func (d *Docker) must(id string) *ctr {
	c, err := d.find(id)
	if err != nil {
		panic("fake: " + err.Error())
	}
	return c
}

// Exit ends the process of a running container with an exit code, at once. Of
// a container that does not run nothing changes. It panics if there is no such
// container, as do the other verbs that take a container's ID or name.
func (d *Docker) Exit(id string, code int) {
	d.lock()
	defer d.mu.Unlock()
	d.exited(d.must(id), code)
}

// OOMKill ends the process of a running container for lack of memory: exit
// code 137 and State.OOMKilled.
func (d *Docker) OOMKill(id string) {
	d.lock()
	defer d.mu.Unlock()
	if c := d.must(id); c.running {
		c.oom = true
		d.exited(c, 128+sigKILL)
	}
}

// WriteLog makes the process of a container write a line; the newline is
// added. It works on a container that does not run, too, as if it had written
// it before.
func (d *Docker) WriteLog(id string, stream Stream, line string) {
	d.lock()
	defer d.mu.Unlock()
	_ = d.must(id).console.write(nil, stream, []byte(line+"\n"))
}

// startFailure is a start that the world makes fail.
type startFailure struct {
	container string
	code      int
	message   string
}

// FailStart makes every start of a container fail; container is its ID or its
// name, and need not be there yet. The code says how the engine fails:
//
//   - 127: the command is not there. Class InvalidArgument, the log file exists.
//   - 126: the command cannot be executed. Likewise.
//   - 128: anything before the runtime. Class Internal, no log file.
//   - 0: no more failures of this container.
//
// The message replaces the engine's own words; empty keeps them.
func (d *Docker) FailStart(container string, code int, message string) {
	switch code {
	case 0, 126, 127, 128:
	default:
		panic(fmt.Sprintf("fake: FailStart with code %d; want 126, 127, 128 or 0", code))
	}
	d.lock()
	defer d.mu.Unlock()
	d.startFailures = slices.DeleteFunc(d.startFailures, func(f startFailure) bool { return f.container == container })
	if code != 0 {
		d.startFailures = append(d.startFailures, startFailure{container, code, message})
	}
}

// decreed returns the failure that the world wants of a start.
func (d *Docker) decreed(c *ctr) *startError {
	for _, f := range d.startFailures {
		if f.container != c.id && f.container != c.name {
			continue
		}
		const inRuntime = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: %q: %s: unknown"
		switch f.code {
		case 127:
			return &startError{127, true, Invalid("%s", cmp.Or(f.message, fmt.Sprintf(inRuntime, c.path, "stat "+c.path+": no such file or directory")))}
		case 126:
			return &startError{126, true, Invalid("%s", cmp.Or(f.message, fmt.Sprintf(inRuntime, c.path, "permission denied")))}
		}
		return &startError{128, false, Internal("%s", cmp.Or(f.message, "error while mounting volume: no such device"))}
	}
	return nil
}

// PhantomName makes a name be held by a container that is not there: a create
// is refused and names the ID that comes back, which inspect and remove do not
// find. Engines get there when they die in the middle of a removal.
func (d *Docker) PhantomName(name string) (id string) {
	d.lock()
	defer d.mu.Unlock()
	id = d.newID("phantom")
	d.phantoms[name] = id
	return id
}

// Dead puts a container that does not run into the state "dead": a removal
// that failed half way. It cannot be started; it can be removed.
func (d *Docker) Dead(id string) {
	d.lock()
	defer d.mu.Unlock()
	c := d.must(id)
	d.kill(c)
	c.dead = true
}

// Removing makes a removal hang: the container is in the state "removing", and
// whoever wants it removed is told that this is under way.
func (d *Docker) Removing(id string) {
	d.lock()
	defer d.mu.Unlock()
	c := d.must(id)
	d.kill(c)
	c.removing = true
}

// Unkillable makes the process of a running container survive SIGKILL, as one
// does that waits for a device. A stop or a forced removal waits until
// [Docker.Exit] ends it, or its own context ends.
func (d *Docker) Unkillable(id string) {
	d.lock()
	defer d.mu.Unlock()
	if c := d.must(id); c.main != nil {
		c.main.unkillable = true
	}
}

// TerminalSize returns what the last resize of a container, or of an exec, set.
func (d *Docker) TerminalSize(id string) container.ResizeOptions {
	d.lock()
	defer d.mu.Unlock()
	if x, ok := d.execs[id]; ok {
		return x.size
	}
	return d.must(id).size
}

// TerminalSizes returns all the sizes that an exec's terminal was given, in
// order. It panics if there is no such exec.
func (d *Docker) TerminalSizes(execID string) []container.ResizeOptions {
	d.lock()
	defer d.mu.Unlock()
	x, ok := d.execs[execID]
	if !ok {
		panic("fake: no exec " + execID)
	}
	return slices.Clone(x.sizes)
}
