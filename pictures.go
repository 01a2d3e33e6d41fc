package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/config"
	"gatehouse/internal/httpapi"
	"gatehouse/internal/image"
	"gatehouse/internal/logging"
	"gatehouse/internal/storage"
	"gatehouse/internal/upload"
	"gatehouse/internal/webhook"
)

// unownedKept is how long the bytes of a picture stay after their last owner deleted it: much longer than any upload
// of the same bytes takes.
const unownedKept = time.Hour

// openStorage opens where pictures are stored, and where they were.
func openStorage(o config.Options, observe func(operation, outcome string, took time.Duration)) (*storage.Store, error) {
	shelf, err := openShelf(o, storageOf(o))
	if err != nil {
		return nil, err
	}
	if disk, ok := shelf.(*storage.Disk); ok && o.AccelRedirect != "" {
		if err := disk.Share(); err != nil {
			return nil, err
		}
	}
	options := storage.Options{Shelf: shelf, Spool: filepath.Join(o.DataDir, "incoming"), Observe: observe}
	if o.StorageFallback != "" {
		if options.Fallback, err = openShelf(o, o.StorageFallback); err != nil {
			return nil, err
		}
	}
	return storage.Open(options)
}

func openShelf(o config.Options, where config.Storage) (storage.Shelf, error) {
	location, err := storage.ParseLocation(string(where))
	if err != nil {
		return nil, fmt.Errorf("read the storage %s: %w", where, err)
	}
	shelf, err := location.Open(o.StorageKeyID, string(o.StorageKeySecret))
	if err != nil {
		return nil, fmt.Errorf("open the storage %s: %w", where, err)
	}
	return shelf, nil
}

// newPictures makes the services of pictures and of their uploads in pieces.
func (a *app) newPictures(secret secret, logs *logging.Logs) (err error) {
	log := logs.Module(logging.Image)
	if a.moderator, err = newModerator(a.options.Pictures); err != nil {
		return err
	}
	if a.images, err = a.newImages(secret, log); err != nil {
		return err
	}
	a.uploads = upload.New(upload.Options{
		Database: a.database, Store: a.store, Images: a.images, Logger: log, Now: time.Now,
		MaxBytes: int64(a.options.UploadLimit), Lifetime: a.options.UploadLifetime,
	})
	return nil
}

func (a *app) newImages(secret secret, log *slog.Logger) (*image.Service, error) {
	key, err := secret.key("links to pictures")
	if err != nil {
		return nil, err
	}
	o := a.options
	options := image.Options{
		Database: a.database, Store: a.store, Logger: log, Now: time.Now, Threads: a.threads,
		MaxFiles: o.UploadFiles, MaxBytes: int64(o.UploadLimit), KeepDetails: o.ImageDetails,
		Limits:  codec.Limits{Pixels: int64(o.ImagePixels), Side: o.ImageSide, Frames: o.ImageFrames},
		Quota:   image.Quota{Images: int64(o.QuotaImages), Bytes: int64(o.QuotaBytes)},
		Decodes: cmp.Or(o.ImageDecodes, runtime.GOMAXPROCS(0)), DecodeWait: o.ImageWait, DecodeMemory: int64(o.ImageMemory),
		Sizes: slices.Compact(slices.Sorted(slices.Values(o.ImageSizes))), Presets: presetsFromOptions(o.ImagePreset),
		CacheBytes: int64(o.ImageCache), LinkKey: key, UnownedKept: unownedKept, ObserveDecode: a.metrics.ObserveDecode,
	}
	if o.AccelRedirect != "" {
		options.CacheBytes = 0 // nginx sends files, and what it needs of them is in memory already
	}
	if a.moderator != nil {
		options.Moderate = a.askModerator
	}
	return image.New(options)
}

func presetsFromOptions(presets []config.ImagePreset) map[string]image.Resize {
	byName := make(map[string]image.Resize, len(presets))
	for _, p := range presets {
		byName[p.Name] = image.Resize{
			Width: p.Width, Height: p.Height, Fit: codec.Fit(p.Fit), Format: codec.Format(p.Format), Quality: p.Quality,
		}
	}
	return byName
}

// newModerator returns who decides about pictures; nil where nobody does.
func newModerator(o config.Pictures) (*webhook.Client, error) {
	if o.Moderation == config.ModerationNone {
		return nil, nil
	}
	client, err := webhook.New(webhook.Options{URL: string(o.ModerationEndpoint), Secret: string(o.ModerationSecret)})
	if err != nil {
		return nil, fmt.Errorf("--moderation: %w", err)
	}
	return client, nil
}

// heldPicture is what the moderator is told. The answer is judgeImage of the contract.
type heldPicture struct {
	Type string          `json:"type"`
	Data heldPictureData `json:"data"`
}

type heldPictureData struct {
	ID          string    `json:"id"`
	OwnerID     string    `json:"ownerId"`
	URL         string    `json:"url"` // loads the picture for a day
	VerdictURL  string    `json:"verdictUrl"`
	ContentType string    `json:"contentType"`
	Width       int       `json:"width"`
	Height      int       `json:"height"`
	Bytes       int64     `json:"bytes"`
	Name        string    `json:"name"`
	Title       string    `json:"title"`
	CreatedAt   time.Time `json:"createdAt"`
}

func (a *app) askModerator(ctx context.Context, held image.Image, link image.Link) error {
	base := a.publicBase()
	answer, err := a.moderator.Post(ctx, heldPicture{Type: "image.held", Data: heldPictureData{
		ID: held.ID, OwnerID: held.OwnerID, URL: httpapi.LinkURL(base, link), VerdictURL: base + "/upload/images/" + held.ID + "/verdict",
		ContentType: held.ContentType, Width: held.Width, Height: held.Height, Bytes: held.Bytes,
		Name: held.OriginalName, Title: held.Title, CreatedAt: held.CreatedAt,
	}})
	if err == nil && !answer.OK() {
		err = fmt.Errorf("the moderator answered %d", answer.Status)
	}
	return err
}

// publicBase is where the moderator reaches this server: in dev mode, where there is no public URL, on this machine.
func (a *app) publicBase() string {
	if a.options.PublicURL != "" {
		return string(a.options.PublicURL)
	}
	return "http://" + string(a.options.Addr)
}

func (a *app) verifyVerdict(header http.Header, body []byte) error {
	if a.moderator == nil {
		return apperr.New(apperr.InvalidSignature)
	}
	if err := a.moderator.Verify(header, body); err != nil {
		return apperr.Wrap(apperr.InvalidSignature, err)
	}
	return nil
}
