package lvsproxy

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Follow loads the file at path again whenever something arrives on reload and, while the file in force says
// autoreload=yes, within a check interval of its changing on disk. A file that is not good is logged, line by line, and
// changes nothing. The program of callback is run with the path once a changed file was looked at. It returns when ctx ends. The file in force is taken to be the one at path. What arrives before Run has
// opened the services is acted on then.
func (d *Director) Follow(ctx context.Context, path string, r config.Resolver, reload <-chan os.Signal) {
	seen := stampOf(path)
	var callbacks sync.WaitGroup
	defer callbacks.Wait()
	select {
	case <-d.started:
	case <-ctx.Done():
		return
	}
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
			seen = stampOf(path)
			d.load(path, r)
		case <-changed:
			if now := stampOf(path); now != seen {
				seen = now
				if spec.AutoReload {
					d.load(path, r)
				}
				if spec.Callback != "" {
					callbacks.Go(func() { runCommand(ctx, d.log, "callback", spec.Callback, path) })
				}
			}
		}
		timer.Stop()
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

// stamp tells versions of a file apart. A missing file has the zero stamp.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}
