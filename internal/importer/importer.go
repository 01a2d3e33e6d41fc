// Package importer takes over the users and pictures of other servers. Every import can be run again:
// what was taken over before is skipped.
package importer

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/account"
	"gatehouse/internal/apperr"
	"gatehouse/internal/image"
)

// User is one user of another server.
type User struct {
	account.Imported
	Where   string // the place in the source, for people: "line 3"
	Problem error  // why this user cannot be taken over
}

// Source is where users come from.
type Source struct {
	Total int64                  // how many there are
	Users iter.Seq2[User, error] // ends with the first error
}

// Options are what an import stands on.
type Options struct {
	Accounts *account.Service
	Images   *image.Service // for pictures
	Output   io.Writer      // gets a line for each user or picture that is refused, and now and then the progress
	Now      func() time.Time
	DryRun   bool // change nothing
}

// Importer runs imports.
type Importer struct {
	options Options
}

// New returns an importer.
func New(options Options) *Importer {
	return &Importer{options}
}

// Users takes over the users of a source. One that is refused does not stop it. An error does; the
// summary then tells what was done before it.
func (i *Importer) Users(ctx context.Context, source Source) (Summary, error) {
	progress := startProgress(i.options, "users", source.Total)
	defer progress.stop()
	// More than hash at once: who brings a hash along only waits for the database.
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(4 * runtime.GOMAXPROCS(0))
	err := readUsers(working, source, progress, func(user User) {
		group.Go(func() error { return i.takeOver(working, user, progress) })
	})
	if failure := group.Wait(); failure != nil {
		err = failure // which ended the reading too
	}
	return progress.summary(), err
}

// readUsers hands on those users that can be taken over, of several with one phone the first. The phones
// take about 100 bytes of memory each.
func readUsers(ctx context.Context, source Source, progress *progress, handOn func(User)) error {
	seen := make(map[string]bool)
	for user, err := range source.Users {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := user.check(); err != nil {
			progress.refuse(user.Where, err)
			continue
		}
		if seen[user.Phone] {
			progress.skip()
			continue
		}
		seen[user.Phone] = true
		handOn(user)
	}
	return nil
}

// takeOver registers a user who is not registered yet. Its error is one that all users would meet.
func (i *Importer) takeOver(ctx context.Context, user User, progress *progress) error {
	unusable := user.dropUnusable()
	err := i.register(ctx, user)
	switch {
	case err == nil:
		progress.takeOver()
		if unusable {
			progress.write(user.Where + ": taken over without the password, since logins take 8 to 128 characters")
		}
	case apperr.Is(err, apperr.AlreadyRegistered):
		progress.skip()
	case apperr.Is(err, apperr.InvalidInput):
		progress.refuse(user.Where, err)
	default:
		return fmt.Errorf("%s: %w", user.Where, err)
	}
	return nil
}

// register looks the phone up before the hash, which costs a thousand times more. It returns AlreadyRegistered
// and InvalidInput.
func (i *Importer) register(ctx context.Context, user User) error {
	_, err := i.options.Accounts.FindByPhone(ctx, user.Phone)
	switch {
	case err == nil:
		return apperr.New(apperr.AlreadyRegistered)
	case !apperr.Is(err, apperr.NotRegistered):
		return err
	case i.options.DryRun:
		return nil
	}
	_, err = i.options.Accounts.Import(ctx, user.Imported)
	return err
}
