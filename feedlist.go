package dockpod

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// WithRelist sets how often [Runtime.Watch] and a [Mirror] list the engine's
// containers although nothing was told: a start that fails has no event, and
// an engine drops events that it cannot deliver soon. Zero means
// [DefaultRelist]. Each list also inspects a tenth of the containers anew, so
// that whatever no list shows is noticed within ten of them.
func WithRelist(every time.Duration) Option { return func(o *options) { o.relist = every } }

// DefaultRelist is how often containers are listed unless [WithRelist] says
// otherwise.
const DefaultRelist = time.Minute

// want asks for a list.
func (f *feed) want(full bool) {
	f.wantList = true
	f.wantFull = f.wantFull || full
	f.listDue = time.Now()
}

// listing is a list under way.
type listing struct {
	full    bool // whose every container is inspected
	began   time.Time
	gaps    int // of the feed when it began
	waiters []waiter
}

// waiter is a call of Sync.
type waiter struct {
	result chan error      // has room for it
	quit   <-chan struct{} // closed: it waits no more
}

// list asks for a list, if one is wanted and none is under way.
func (f *feed) list() {
	if !f.wantList || f.listing || f.listDue.After(time.Now()) {
		return
	}
	l := listing{full: f.wantFull, began: time.Now(), gaps: f.gaps, waiters: f.syncWaiters}
	f.wantList, f.wantFull, f.listing, f.syncWaiters = false, false, true, nil
	if l.full {
		f.forgetImages()
	}
	f.wg.Go(func() {
		ctx, end := f.r.begin(f.ctx, "list containers", "")
		list, err := f.r.listRaw(ctx, query{})
		end(&err)
		f.post(func() { f.listed(l, list, err) })
	})
}

// listed takes the result of a list.
func (f *feed) listed(l listing, list []container.Summary, err error) {
	f.listing = false
	f.listFailed = err
	if err != nil {
		f.listAgain(l, err)
		return
	}
	f.listRetry = newRetry()
	if !f.wantList {
		f.listDue = time.Now().Add(f.every)
	}
	check := f.inDoubt(l, list)
	if !l.full {
		f.recheckImages()
	}
	f.addRound(check, nil, func() {
		f.onRelist(l.began)
		if l.full && f.connected && f.gaps == l.gaps {
			f.whole = true
			f.onSynced(l.began)
		}
	})
	for _, w := range l.waiters {
		f.addRound(check, w.quit, func() { f.tell(w, nil) })
	}
}

// listAgain makes up for a list that failed.
func (f *feed) listAgain(l listing, err error) {
	f.onTrouble(err)
	f.wantList, f.wantFull = true, f.wantFull || l.full
	f.listDue = time.Now().Add(f.listRetry.next)
	f.listRetry.next = min(2*f.listRetry.next, f.listRetry.limit)
	for _, w := range l.waiters {
		f.tell(w, err)
	}
}

// inDoubt returns what has to be inspected after a list: all, or what it shows
// otherwise than was known, or not at all, and a few more each time.
func (f *feed) inDoubt(l listing, list []container.Summary) (check []*record) {
	there := make(map[string]bool, len(list))
	for i, s := range list {
		there[s.ID] = true
		if at, gone := f.removed[s.ID]; gone && !l.began.After(at) {
			continue
		}
		rec := f.records[s.ID]
		if rec == nil {
			rec = f.newRecord(s.ID)
		}
		if rec.look == nil {
			rec.listed = &list[i]
		}
		if l.full || differs(rec, s) {
			check = append(check, rec)
		}
	}
	var rest []*record
	for _, rec := range f.records {
		switch {
		case !there[rec.id]:
			check = append(check, rec)
		case !l.full && rec.since.IsZero(): // what waits for a look has its own time
			rest = append(rest, rec)
		}
	}
	return append(check, auditOf(rest)...)
}

// differs tells whether a list shows something else than the last look. One
// that is created may have failed to start, which no list shows.
func differs(rec *record, s container.Summary) bool {
	l := rec.look
	if l == nil {
		return true
	}
	word := wordOf(s.State, s.Status)
	return word != l.state.effectiveWord() || word == "created" || !slices.Contains(s.Names, l.rawName) ||
		word == "running" && healthInText(s.Status) != l.health // of no other a list tells it
}

// healthInText reads the health in a list's text for humans: "Up 5 hours
// (unhealthy)", "Up 1 second (health: starting)".
func healthInText(text string) string {
	_, text, _ = strings.Cut(text, "(")
	text, _, _ = strings.Cut(text, ")")
	return strings.TrimPrefix(text, "health: ")
}

// auditOf returns the tenth of the records that were not looked at for the
// longest time.
func auditOf(recs []*record) []*record {
	slices.SortFunc(recs, func(a, b *record) int { return a.lookedAt.Compare(b.lookedAt) })
	return recs[:(len(recs)+auditParts-1)/auditParts]
}

// tell sends the result of a sync at the end of the step.
func (f *feed) tell(w waiter, err error) {
	f.last = append(f.last, func() { w.result <- err })
}

// sync has everything looked at, or only some containers, and tells the
// result.
func (f *feed) sync(ids []string, w waiter) {
	if len(ids) == 0 {
		f.syncWaiters = append(f.syncWaiters, w)
		f.want(true)
		return
	}
	recs := make([]*record, 0, len(ids))
	for _, id := range ids {
		rec := f.records[id]
		if _, gone := f.removed[id]; rec == nil && !gone {
			rec = f.newRecord(id)
		}
		if rec != nil {
			recs = append(recs, rec)
		}
	}
	f.addRound(recs, w.quit, func() { f.tell(w, nil) })
}

// recheckImages finds out which images have other names now, and has their
// containers looked at: a status shows an image by its name.
func (f *feed) recheckImages() {
	f.recheck = true
	if f.rechecked {
		return
	}
	f.rechecked, f.recheck = true, false
	f.forgetImages()
	ids := map[string]bool{}
	for _, rec := range f.records {
		if l := rec.look; l != nil && l.container != nil {
			ids[l.imageID] = true
		}
		rec.again = rec.again || rec.busy // it may have asked for its image before
	}
	f.wg.Go(func() {
		keys := f.imageKeys(ids)
		f.post(func() { f.imagesRechecked(keys) })
	})
}

// forgetImages drops what is remembered of images whose names may have moved.
func (f *feed) forgetImages() {
	f.images.forget()
	f.r.images.forget()
}

// imageKeys asks for images. Those that cannot be inspected have no key.
func (f *feed) imageKeys(ids map[string]bool) map[string]string {
	keys := map[string]string{}
	for id := range ids {
		ctx, end := f.r.beginLimit(f.ctx, "inspect image", id, f.r.partTimeout())
		img, err := f.images.get(ctx, id, f.r.inspectImageByID)
		if err == nil || errdefs.IsNotFound(err) {
			keys[id] = imageKey(img)
		}
		end(&err)
	}
	return keys
}

// imagesRechecked has the containers looked at whose images' keys are others.
func (f *feed) imagesRechecked(keys map[string]string) {
	f.rechecked = false
	for _, rec := range f.records {
		if l := rec.look; l != nil && l.container != nil {
			if key, ok := keys[l.imageID]; ok && key != l.imageKey {
				f.enqueue(rec)
			}
		}
	}
	if f.recheck {
		f.recheckImages()
	}
}

// imageKey is what a status shows of its image.
func imageKey(img *Image) string {
	if img == nil {
		return "gone"
	}
	return fmt.Sprintf("%q %q", img.RepoTags, img.RepoDigests)
}
