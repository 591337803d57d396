package dockpod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/docker/docker/api/types/container"
)

// createTries bounds how often one create meets a name that is held: each
// holder that is cleared away may be followed by another creator's.
const createTries = 12

// phantomTime is for how long a holder has to be looked for in vain before it is
// taken for a phantom. An engine holds the name of a container that it is
// making and does not show the container before it is made, which takes a busy
// one seconds: without this patience, creators that come together, or one who
// asks again, each make one of their own.
const phantomTime = 5 * time.Second

// create asks the engine for a container and settles who has the name.
func (r *Runtime) create(ctx context.Context, req createRequest) (id string, err error) {
	name := r.naming.Format(req.Name)
	wait := newBackoff(10*time.Millisecond, 500*time.Millisecond)
	var randomised bool
	var unseen time.Time // since when the holder is looked for in vain
	for try := 1; ; try++ {
		id, err := r.createOnce(ctx, req, name)
		var conflict *NameConflictError
		if !errors.As(err, &conflict) || try >= createTries {
			return id, err
		}
		holder, verdict, settleErr := r.settle(ctx, req, name, conflict)
		if settleErr != nil {
			return "", settleErr
		}
		switch verdict {
		case holderAdopted:
			r.opts.logger.Info("container of the same request adopted", slog.String("name", name), slog.String("id", holder))
			return holder, nil
		case holderPhantom:
			if randomised {
				return "", conflict
			}
			if unseen.IsZero() {
				unseen = time.Now()
			}
			if time.Since(unseen) < phantomTime {
				try-- // it may be about to come
				if err := wait.sleep(ctx); err != nil {
					return "", joinErrors([]error{conflict, err})
				}
				continue
			}
			randomised = true
			n := req.Name
			if n.Suffix, err = randomSuffix(r.opts.random); err != nil {
				return "", err
			}
			name = r.naming.Format(n)
			r.opts.logger.Warn("name is held by a container that cannot be found", slog.String("name", r.naming.Format(req.Name)), slog.String("instead", name))
		case holderRemoved:
			r.opts.logger.Info("holder of a name removed", slog.String("name", name), slog.String("id", holder))
		case holderLeaving:
			try-- // it goes, however long that takes
			if err := wait.sleep(ctx); err != nil {
				leaving := &NameConflictError{Name: name, HolderID: holder, Reason: ErrRemovalInProgress.Error()}
				return "", joinErrors([]error{leaving, err})
			}
		}
	}
}

// createOnce asks once. If the answer is lost to a deadline or a broken
// connection, the engine may have made the container all the same: a look by
// name tells.
func (r *Runtime) createOnce(ctx context.Context, req createRequest, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err // nothing was asked, so nothing is made
	}
	resp, err := r.docker.ContainerCreate(ctx, req.Config, req.Host, req.Net, req.Platform, name)
	switch {
	case err != nil:
		err = classify(verbCreate, name, err)
	case resp.ID == "":
		err = &classified{ErrBadAnswer, "the engine created a container without an ID"}
	default:
		dropped := r.heed(req.Asked, Warning{Op: "create", Name: req.Name, ID: resp.ID}, resp.Warnings)
		if dropped == nil {
			return resp.ID, nil
		}
		undo, cancel := r.detached(ctx, undoTime)
		defer cancel()
		if err := r.remove(undo, resp.ID, true); err != nil {
			dropped = joinErrors([]error{dropped, fmt.Errorf("remove the container %q again: %w", resp.ID, err)})
		}
		return "", dropped
	}
	// With a cause of the caller's own, the end of the context looks like a
	// lost engine.
	if ctx.Err() == nil && !isContextError(err) && !errors.Is(err, ErrBadAnswer) {
		return "", err
	}
	if id := r.lookFor(ctx, req, name); id != "" {
		return id, nil
	}
	return "", err
}

// lookFor returns the ID of the container that an engine has made of req
// without an answer, or may be about to make; empty if there is none in time.
func (r *Runtime) lookFor(ctx context.Context, req createRequest, name string) string {
	look, cancel := r.detached(ctx, lastLook)
	defer cancel()
	for wait := newBackoff(10*time.Millisecond, 100*time.Millisecond); ; {
		info, err := r.inspectAny(look, name)
		if err == nil && r.adoptable(info, req) {
			return info.ID
		}
		if !errors.Is(err, ErrContainerNotFound) || wait.sleep(look) != nil {
			return ""
		}
	}
}

// lastLook bounds the look for a container whose create was not answered. It
// is short: an engine that hangs must not cost a second deadline.
const lastLook = 500 * time.Millisecond

// verdict is what became of the holder of a name.
type verdict int

const (
	holderAdopted verdict = iota // it is what was asked for
	holderRemoved                // it was in the way and could go
	holderPhantom                // the engine says the name is held and knows no holder
	holderLeaving                // it is being removed
)

// settle decides what becomes of the container that holds a name. It asks for
// the holder by name, so no engine's wording matters.
func (r *Runtime) settle(ctx context.Context, req createRequest, name string, conflict *NameConflictError) (string, verdict, error) {
	info, v, err := r.holder(ctx, req, name, conflict)
	if err != nil {
		return "", 0, joinErrors([]error{conflict, err})
	}
	if info.ContainerJSONBase == nil {
		return "", v, nil
	}
	refuse := func(reason string) (string, verdict, error) {
		return "", 0, &NameConflictError{Name: name, HolderID: info.ID, Reason: reason}
	}
	kind := r.kindOfInspected(info)
	if kind == "" {
		return refuse("it is not this runtime's")
	}
	es := stateFromInspect(info, func(string) {})
	switch {
	case es.effectiveWord() == "removing":
		return info.ID, holderLeaving, nil
	case r.adoptable(info, req):
		return info.ID, holderAdopted, nil
	case stateOf(es).state == StateRunning:
		return refuse("it is running")
	}
	if kind == TypeSandbox {
		err = r.removePod(ctx, info.ID, false, false)
	} else {
		err = r.removeContainer(ctx, info, false)
	}
	switch {
	case err == nil:
		return info.ID, holderRemoved, nil
	case errors.Is(err, ErrRunning) && kind == TypeSandbox:
		return refuse("containers of its pod are running")
	case errors.Is(err, ErrRunning):
		return refuse("it is running")
	}
	return "", 0, joinErrors([]error{&NameConflictError{Name: name, HolderID: info.ID}, fmt.Errorf("remove the holder: %w", err)})
}

// holder finds who holds a name. The answer is without a container, and with
// a verdict, if nobody does who can be found.
func (r *Runtime) holder(ctx context.Context, req createRequest, name string, conflict *NameConflictError) (container.InspectResponse, verdict, error) {
	info, err := r.inspectAny(ctx, name)
	if !errors.Is(err, ErrContainerNotFound) {
		return info, 0, err
	}
	// Gone just now, or never to be found. The ID in the engine's message
	// tells: a phantom is known by neither.
	if conflict.HolderID != "" {
		info, err = r.inspectAny(ctx, conflict.HolderID)
		switch {
		case err == nil && info.Name != "/"+name && info.Name != name:
			return container.InspectResponse{}, holderLeaving, nil // renamed meanwhile: the name is free
		case !errors.Is(err, ErrContainerNotFound):
			return info, 0, err
		}
	}
	// An earlier create may have met the phantom already, and made the
	// container under a random name.
	list, err := r.listRaw(ctx, query{kind: r.kindOf(req.Config.Labels), labels: map[string]string{
		LabelPodUID: req.Name.UID, LabelContainerName: req.Name.Container,
	}})
	if err != nil {
		return container.InspectResponse{}, 0, err
	}
	for _, c := range list {
		if n, err := r.nameOf(c.Names, c.Labels); err == nil && n.Suffix != "" {
			if n.Suffix = ""; n == req.Name {
				info, err := r.inspectAny(ctx, c.ID)
				return info, 0, err
			}
		}
	}
	return container.InspectResponse{}, holderPhantom, nil
}

// adoptable reports whether a container is exactly what req would make, and
// fresh.
func (r *Runtime) adoptable(info container.InspectResponse, req createRequest) bool {
	if r.kindOfInspected(info) == "" {
		return false
	}
	spec := info.Config.Labels[LabelSpec]
	return spec != "" && spec == req.Config.Labels[LabelSpec] && holds(req.Asked, info.HostConfig) &&
		outcomeOf(info).state == StateCreated
}
