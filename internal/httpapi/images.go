package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/idempotency"
	"gatehouse/internal/image"
)

func (s *server) UploadImages(ctx context.Context, request api.UploadImagesRequestObject) (api.UploadImagesResponseObject, error) {
	c := callFrom(ctx)
	key := request.Params.IdempotencyKey
	if c.session.UserID == "" { // strangers may choose the same one
		key = nil
	}
	once := s.once(ctx, key)
	answer, err := once.Do(ctx, func() ([]byte, error) {
		form := uploadForm{parts: request.Body, body: c.upload}
		render := func(images []image.Image) ([]byte, error) { return s.uploadAnswer(c, images) }
		images, err := s.Images.Upload(ctx, image.UploadOptions{
			OwnerID: c.session.UserID, Visibility: image.Visibility(value(request.Params.Visibility)), Wait: value(request.Params.Wait),
			Commit: idempotency.CommitResult(ctx, once, render),
		}, form.next)
		if err != nil {
			return nil, err
		}
		return render(images)
	})
	if err == nil {
		c.upload.drain()
	}
	return jsonAnswer(answer), err
}

func (s *server) uploadAnswer(c *call, images []image.Image) ([]byte, error) {
	upload := api.Upload{ImageURL: make([]string, len(images)), Images: make([]api.StoredImage, len(images))}
	for i, stored := range images {
		upload.Images[i] = s.storedImageFromImage(c, stored)
		upload.ImageURL[i] = upload.Images[i].URL
	}
	if s.Booklet {
		return marshal(bookletUpload(upload.ImageURL))
	}
	return marshal(api.UploadResult{Data: api.UploadData{Msg: upload}})
}

const defaultImages = 20 // in a list, as the contract says

func (s *server) ListImages(ctx context.Context, request api.ListImagesRequestObject) (api.ListImagesResponseObject, error) {
	c := callFrom(ctx)
	limit := defaultImages
	if request.Params.Limit != nil {
		limit = int(*request.Params.Limit)
	}
	images, more, err := s.Images.List(ctx, c.session.UserID, filterFromAPI(request.Params), limit)
	if err != nil {
		return nil, err
	}
	page := api.Images{Images: make([]api.StoredImage, len(images))}
	for i, stored := range images {
		page.Images[i] = s.storedImageFromImage(c, stored)
	}
	if more {
		page.Next = &page.Images[len(images)-1].ID
	}
	return api.ListImages200JSONResponse{Data: api.ImagesData{Msg: page}}, nil
}

func filterFromAPI(p api.ListImagesParams) image.Filter {
	filter := image.Filter{ContentType: string(value(p.Type)), Since: p.Since, Until: p.Until}
	if p.Before != nil {
		filter.Before = p.Before.String()
	}
	return filter
}

func (s *server) DescribeImage(ctx context.Context, request api.DescribeImageRequestObject) (api.DescribeImageResponseObject, error) {
	c := callFrom(ctx)
	stored, err := s.Images.Get(ctx, c.session.UserID, request.ID.String())
	return api.DescribeImage200JSONResponse(s.imageResult(c, stored)), err
}

func (s *server) UpdateImage(ctx context.Context, request api.UpdateImageRequestObject) (api.UpdateImageResponseObject, error) {
	c := callFrom(ctx)
	changed, err := s.Images.Update(ctx, c.session.UserID, request.ID.String(), image.Changes{
		Title: request.Body.Title, Visibility: (*image.Visibility)(request.Body.Visibility),
	})
	return api.UpdateImage200JSONResponse(s.imageResult(c, changed)), err
}

func (s *server) DeleteImage(ctx context.Context, request api.DeleteImageRequestObject) (api.DeleteImageResponseObject, error) {
	err := s.Images.Delete(ctx, callFrom(ctx).session.UserID, request.ID.String())
	return api.DeleteImage200JSONResponse{DoneJSONResponse: api.DoneJSONResponse(done())}, err
}

func (s *server) LinkImage(ctx context.Context, request api.LinkImageRequestObject) (api.LinkImageResponseObject, error) {
	c := callFrom(ctx)
	lifetime := time.Duration(request.Body.ExpiresIn) * time.Second
	link, err := s.Images.Link(ctx, c.session.UserID, request.ID.String(), lifetime)
	if err != nil {
		return nil, err
	}
	return api.LinkImage200JSONResponse{Data: api.ImageLinkData{
		Msg: api.ImageLink{URL: LinkURL(s.baseURL(c), link), ExpiresAt: link.Expires},
	}}, nil
}

// LinkURL is where a link lets in, on the server at a base URL.
func LinkURL(base string, link image.Link) string {
	query := url.Values{"expires": {strconv.FormatInt(link.Expires.Unix(), 10)}, "signature": {link.Signature}}
	return base + imagesPath + link.Name + "?" + query.Encode()
}

var errOtherPicture = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "/id", Reason: apperr.Text{Chinese: "与路径中的图片不一致", English: "is not the picture of the path"},
})

func (s *server) JudgeImage(ctx context.Context, request api.JudgeImageRequestObject) (api.JudgeImageResponseObject, error) {
	if request.Body.ID != request.ID { // the signature does not cover the path
		return nil, errOtherPicture
	}
	signedAt, err := strconv.ParseInt(request.Params.WebhookTimestamp, 10, 64)
	if err != nil {
		return nil, apperr.Wrap(apperr.InvalidInput, err)
	}
	err = s.Images.Judge(ctx, request.ID.String(), image.Verdict{
		Release: request.Body.Verdict == api.JudgementVerdictRelease, Reason: value(request.Body.Reason), At: time.Unix(signedAt, 0),
	})
	return api.JudgeImage200JSONResponse{DoneJSONResponse: api.DoneJSONResponse(done())}, err
}

func (s *server) GetImage(ctx context.Context, request api.GetImageRequestObject) (api.GetImageResponseObject, error) {
	return s.openImage(ctx, request.Name, request.Params)
}

func (s *server) HeadImage(ctx context.Context, request api.HeadImageRequestObject) (api.HeadImageResponseObject, error) {
	return s.openImage(ctx, request.Name, api.GetImageParams(request.Params))
}

func (s *server) openImage(ctx context.Context, name string, p api.GetImageParams) (imageResponse, error) {
	c := callFrom(ctx)
	reader := image.Reader{UserID: c.session.UserID, Expires: value(p.Expires), Signature: value(p.Signature)}
	found, err := s.Images.Find(ctx, name, reader)
	if err != nil {
		return imageResponse{}, err
	}
	if err := s.checkOwner(ctx, found); err != nil {
		return imageResponse{}, err
	}
	file, err := s.Images.OpenResized(ctx, found, resizeFromAPI(p), takesWebP(c.request))
	if err != nil {
		return imageResponse{}, err
	}
	return imageResponse{file: file, request: c.request, caching: s.cachingOf(found, reader), accel: s.accelPath(c, file)}, nil
}

// accelPath is where a proxy has the file itself; empty if it is to be sent the bytes. It can send them as we would
// only where nothing depends on what the client has of them: it knows neither our tags nor our times.
func (s *server) accelPath(c *call, file *image.File) string {
	onDisk, ok := file.Content.(*os.File)
	if s.AccelRedirect == "" || !c.byProxy || !ok || !isPlainGet(c.request) {
		return ""
	}
	path, err := filepath.Rel(s.ImageDir, onDisk.Name())
	if err != nil || !filepath.IsLocal(path) { // it lies at --storage-fallback
		return ""
	}
	return s.AccelRedirect + filepath.ToSlash(path)
}

// checkOwner hides the pictures of who asked to be deleted.
func (s *server) checkOwner(ctx context.Context, found image.Image) error {
	if found.OwnerID == "" {
		return nil
	}
	hidden, err := s.Accounts.IsHidden(ctx, found.OwnerID)
	if err == nil && hidden {
		return apperr.New(apperr.ImageNotFound)
	}
	return err
}

func resizeFromAPI(p api.GetImageParams) image.Resize {
	resize := image.Resize{
		Width: int(value(p.W)), Height: int(value(p.H)), Fit: codec.Fit(value(p.Fit)), Quality: int(value(p.Q)), Preset: value(p.Preset),
	}
	if p.Format != nil {
		resize.Format = codec.Format(*p.Format)
	}
	return resize
}

// takesWebP reports whether a client names WebP and does not refuse it. Wildcards do not count: clients that know no
// WebP send them too.
func takesWebP(r *http.Request) bool {
	for element := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		mediaType, params, err := mime.ParseMediaType(element)
		if err == nil && mediaType == "image/webp" {
			weight, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 64)
			return err == nil && weight > 0
		}
	}
	return false
}

const (
	publicCaching = "public, max-age=31536000, immutable"
	ownerCaching  = "private, no-cache" // it may be shown to nobody else, and be deleted any time
	linkCaching   = time.Hour           // at most, and not longer than the link
)

func (s *server) cachingOf(found image.Image, by image.Reader) string {
	switch {
	case found.IsPublic():
		return publicCaching
	case by.Signature != "":
		left := max(0, min(time.Unix(by.Expires, 0).Sub(s.Now()), linkCaching)) // none where the owner follows an old link
		return fmt.Sprintf("private, max-age=%d", int(left.Seconds()))
	}
	return ownerCaching
}

// imageResponse leaves ranges and conditions to http.ServeContent.
type imageResponse struct {
	file    *image.File
	request *http.Request
	caching string
	accel   string // where a proxy has the file, if that sends it
}

func (i imageResponse) VisitGetImageResponse(w http.ResponseWriter) error {
	defer i.file.Content.Close()
	header := w.Header()
	header.Set("Accept-Ranges", "bytes")
	header.Set("Cache-Control", i.caching)
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'") // pictures share the pages' origin
	header.Set("Content-Type", i.file.ContentType)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("ETag", i.file.ETag)
	if i.file.ByAccept {
		header.Add("Vary", "Accept")
	}
	if i.accel != "" {
		i.redirectProxy(w)
		return nil
	}
	w = patientWith(w, i.file.Size)
	if strings.Count(i.request.Header.Get("Range"), ",") >= maxRanges {
		i.request.Header.Del("Range") // all of it is cheaper
	}
	if i.file.Memory != nil && isPlainGet(i.request) { // ServeContent would copy it
		header.Set("Content-Length", strconv.Itoa(len(i.file.Memory)))
		header.Set("Last-Modified", i.file.ModTime.UTC().Format(http.TimeFormat))
		_, err := w.Write(i.file.Memory)
		return err
	}
	http.ServeContent(w, i.request, "", i.file.ModTime, i.file.Content) // an *os.File itself, so that the kernel sends it
	return nil
}

// redirectProxy lets the proxy send the file, with the headers of this answer.
func (i imageResponse) redirectProxy(w http.ResponseWriter) {
	header := w.Header()
	header.Del("Accept-Ranges") // the proxy sets its own
	header.Set("Last-Modified", i.file.ModTime.UTC().Format(http.TimeFormat))
	if vary := header.Values("Vary"); len(vary) > 1 {
		header.Set("Vary", strings.Join(vary, ", ")) // nginx before 1.23 passes on the first line only
	}
	header.Set("X-Accel-Redirect", i.accel)
	w.WriteHeader(http.StatusOK)
}

// maxRanges is how many parts a request may ask for: where the storage is S3, each is a request of its own.
const maxRanges = 8

// isPlainGet reports whether a request asks for all of a picture, whatever the client has of it.
func isPlainGet(r *http.Request) bool {
	for _, condition := range []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if r.Header[condition] != nil {
			return false
		}
	}
	return r.Method == http.MethodGet
}

func (i imageResponse) VisitHeadImageResponse(w http.ResponseWriter) error {
	return i.VisitGetImageResponse(w)
}

const imagesPath = "/static/image/"

// imageURL is where who may see a picture loads it. A CDN knows nobody, and would show a private one to everybody.
func (s *server) imageURL(c *call, stored image.Image) string {
	if stored.IsPublic() {
		return s.publicImageURL(c, stored.Name)
	}
	return s.baseURL(c) + imagesPath + stored.Name
}

func (s *server) publicImageURL(c *call, name string) string {
	if s.ImageURL != "" {
		return s.ImageURL + imagesPath + name
	}
	return s.baseURL(c) + imagesPath + name
}

func (s *server) imageResult(c *call, stored image.Image) api.ImageResult {
	if stored.ID == "" { // an error is answered instead
		return api.ImageResult{}
	}
	return api.ImageResult{Data: api.ImageData{Msg: s.storedImageFromImage(c, stored)}}
}

func (s *server) storedImageFromImage(c *call, stored image.Image) api.StoredImage {
	out := api.StoredImage{
		ID: uuid.MustParse(stored.ID), URL: s.imageURL(c, stored),
		Width: int64(stored.Width), Height: int64(stored.Height), Bytes: stored.Bytes,
		ContentType: stored.ContentType, Name: stored.OriginalName, Title: stored.Title,
		Visibility: api.Visibility(stored.Visibility), Status: api.ImageStatus(stored.Status), CreatedAt: stored.CreatedAt,
		BlurHash: optional(stored.BlurHash), Color: optional(stored.Color), Camera: optional(stored.Camera),
	}
	if stored.Status == image.StatusWithdrawn {
		out.Reason = new(reasonOf(c, stored))
	}
	if !stored.TakenAt.IsZero() {
		out.TakenAt = &stored.TakenAt
	}
	return out
}

// reasonOf is what the moderator said, or that the picture could not be decoded.
func reasonOf(c *call, stored image.Image) string {
	if stored.Reason != "" {
		return stored.Reason
	}
	return apperr.ImageDamaged.Text().In(c.language())
}

// optional is nil where there is nothing to say.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
