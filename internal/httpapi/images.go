package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"gatehouse/internal/api"
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
		images, err := s.Images.Upload(ctx, c.session.UserID, form.next, idempotency.CommitResult(ctx, once, render))
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

// imageURL is where anybody loads a picture.
func (s *server) imageURL(c *call, name string) string {
	return s.baseURL(c) + "/static/image/" + name
}

func (s *server) GetImage(ctx context.Context, request api.GetImageRequestObject) (api.GetImageResponseObject, error) {
	return s.openImage(ctx, request.Name)
}

func (s *server) HeadImage(ctx context.Context, request api.HeadImageRequestObject) (api.HeadImageResponseObject, error) {
	return s.openImage(ctx, request.Name)
}

func (s *server) openImage(ctx context.Context, name string) (imageResponse, error) {
	file, err := s.Images.Open(name)
	if err != nil {
		return imageResponse{}, err
	}
	return imageResponse{file, callFrom(ctx).request}, nil
}

// imageResponse leaves ranges, conditions and HEAD to http.ServeContent.
type imageResponse struct {
	file    *image.File
	request *http.Request
}

func (i imageResponse) VisitGetImageResponse(w http.ResponseWriter) error {
	defer i.file.Close()
	header := w.Header()
	header.Set("Accept-Ranges", "bytes")
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'") // pictures share the pages' origin
	header.Set("Content-Type", i.file.ContentType)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("ETag", i.file.ETag)
	allowSlowReader(w, i.file.Size)
	http.ServeContent(w, i.request, "", i.file.ModTime, i.file.File) // the file itself, so that the kernel sends it
	return nil
}

func (i imageResponse) VisitHeadImageResponse(w http.ResponseWriter) error {
	return i.VisitGetImageResponse(w)
}

func (s *server) storedImageFromImage(c *call, stored image.Image) api.StoredImage {
	return api.StoredImage{
		ID: uuid.MustParse(stored.ID), URL: s.imageURL(c, stored.Name),
		Width: int64(stored.Width), Height: int64(stored.Height), Bytes: stored.Bytes,
		ContentType: stored.ContentType, Name: stored.OriginalName,
	}
}
