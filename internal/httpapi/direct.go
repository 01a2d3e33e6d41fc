package httpapi

import (
	"context"

	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/image"
	"gatehouse/internal/upload"
)

func (s *server) CreateDirectUpload(ctx context.Context, request api.CreateDirectUploadRequestObject) (api.CreateDirectUploadResponseObject, error) {
	direct, err := s.Uploads.CreateDirect(ctx, callFrom(ctx).session.UserID, announcementFromRequest(*request.Body))
	if err != nil {
		return nil, err
	}
	return api.CreateDirectUpload200JSONResponse{Data: api.DirectUploadData{Msg: api.DirectUpload{
		ID: uuid.MustParse(direct.ID), URL: direct.URL, Fields: direct.Fields, ExpiresAt: direct.ExpiresAt,
	}}}, nil
}

func (s *server) CompleteDirectUpload(ctx context.Context, request api.CompleteDirectUploadRequestObject) (api.CompleteDirectUploadResponseObject, error) {
	c := callFrom(ctx)
	stored, err := s.Uploads.CompleteDirect(ctx, c.session.UserID, request.ID.String())
	if err != nil {
		return nil, err
	}
	return api.CompleteDirectUpload200JSONResponse{Data: api.ImageData{Msg: s.storedImageFromImage(c, stored)}}, nil
}

func announcementFromRequest(body api.DirectUploadRequest) upload.Announcement {
	return upload.Announcement{
		Bytes: body.Bytes, Name: value(body.Name), Title: value(body.Title), Visibility: image.Visibility(value(body.Visibility)),
	}
}
