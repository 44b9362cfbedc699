package lvsproxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Follow loads the file at path again whenever something arrives on reload and, while the file in force says
// autoreload=yes, within a check interval of its content changing on disk. A file that is not good is logged, line by
// line, and changes nothing. After the content has changed, and was loaded if it was to be, the file's callback is run,
// with the path as its argument. Follow returns when ctx ends. The file in force is taken to be the one at path. What
// arrives before Run has opened the services is acted on then.
func (d *Director) Follow(ctx context.Context, path string, r config.Resolver, reload <-chan os.Signal) {
	seen := watchFile(path)
	select {
	case <-d.started:
	case <-ctx.Done():
		return
	}
	var callbacks sync.WaitGroup
	defer callbacks.Wait()
	for {
		spec := d.Spec()
		var changed <-chan time.Time
		timer := time.NewTimer(spec.CheckInterval)
		if spec.AutoReload || spec.Callback != "" {
			changed = timer.C
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-reload:
			seen.changed() // no reason to load it again, nor to call back, as in ldirectord
			d.load(path, r)
		case <-changed:
			if seen.changed() {
				d.changed(ctx, path, r, &callbacks)
			}
		}
		timer.Stop()
	}
}

// changed acts on a file whose content has changed.
func (d *Director) changed(ctx context.Context, path string, r config.Resolver, callbacks *sync.WaitGroup) {
	if d.Spec().AutoReload {
		d.load(path, r)
	}
	if program := d.Spec().Callback; program != "" { // the new file's
		callbacks.Go(func() { runCommand(ctx, d.log, "callback", program, path) })
	}
}

// load reloads the file at path and logs what came of it.
func (d *Director) load(path string, r config.Resolver) {
	file, err := config.Load(path, r)
	if err == nil {
		d.LogWarnings(file)
		err = d.Reload(file)
	}
	if err == nil {
		if d.options.OnLoad != nil {
			d.options.OnLoad(file)
		}
		d.log.Info("configuration loaded", "file", path, "virtual_services", len(file.Spec.Virtuals))
		return
	}
	var problems config.Problems
	if !errors.As(err, &problems) {
		d.log.Error("reload failed: the old configuration stays in force", "file", path, "error", err)
		return
	}
	for _, p := range problems {
		d.log.Error("reload failed: the old configuration stays in force", "error", p)
	}
}

// LogWarnings logs the warnings about a file, and what in it the Director does not act on.
func (d *Director) LogWarnings(file *config.File) {
	for _, w := range slices.Concat(file.Warnings, Ignored(file, d.dataplane)) {
		d.log.Warn("configuration", "warning", w)
	}
}

// watched is a file that is watched for changes of its content. A file that cannot be read has not changed: it may be
// between being removed and written again.
type watched struct {
	path  string
	stamp stamp
	sum   [sha256.Size]byte
}

// stamp tells without reading a file that it may have changed.
type stamp struct {
	modified time.Time
	size     int64
}

func watchFile(path string) *watched {
	w := &watched{path: path}
	w.changed()
	return w
}

// changed reports whether the content is another than at the last call.
func (w *watched) changed() bool {
	info, err := os.Stat(w.path)
	if err != nil {
		return false
	}
	now := stamp{info.ModTime(), info.Size()}
	if now == w.stamp || now.size > config.MaxFileSize {
		return false
	}
	data, err := os.ReadFile(w.path)
	if err != nil {
		return false
	}
	before := w.sum
	w.stamp, w.sum = now, sha256.Sum256(data)
	return w.sum != before
}
