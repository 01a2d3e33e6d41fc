package httpapi

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/image"
	"gatehouse/internal/upload"
)

const (
	tusPath       = "/upload/session"
	tusVersion    = "1.0.0"
	tusExtensions = "creation,expiration,checksum,termination"
)

// tusMethods are those of the tus protocol, whose requests name its version.
var tusMethods = []string{http.MethodPost, http.MethodHead, http.MethodPatch, http.MethodDelete}

// speakTus names the version of the protocol in every answer about sessions, turns away who speaks
// another, and lets clients through that can send nothing but POST.
func (s *server) speakTus(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != tusPath && !strings.HasPrefix(r.URL.Path, tusPath+"/") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Tus-Resumable", tusVersion)
		if slices.Contains(tusMethods, r.Method) && r.Header.Get("Tus-Resumable") != tusVersion {
			w.Header().Set("Tus-Version", tusVersion)
			s.writeError(w, r, apperr.New(apperr.TusVersionUnsupported))
			return
		}
		if meant := r.Header.Get("X-HTTP-Method-Override"); r.Method == http.MethodPost && slices.Contains(tusMethods, meant) {
			r.Method = meant
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) DescribeUploadSessions(context.Context, api.DescribeUploadSessionsRequestObject) (api.DescribeUploadSessionsResponseObject, error) {
	return api.DescribeUploadSessions204Response{Headers: api.DescribeUploadSessions204ResponseHeaders{
		TusResumable: new(tusVersion), TusVersion: new(tusVersion), TusExtension: new(tusExtensions),
		TusMaxSize: &s.UploadLimit, TusChecksumAlgorithm: new(strings.Join(upload.Algorithms(), ",")),
	}}, nil
}

func (s *server) CreateUploadSession(ctx context.Context, request api.CreateUploadSessionRequestObject) (api.CreateUploadSessionResponseObject, error) {
	c := callFrom(ctx)
	announced := upload.Announcement{Bytes: request.Params.UploadLength}
	if metadata := request.Params.UploadMetadata; metadata != nil {
		if err := readMetadata(*metadata, &announced); err != nil {
			return nil, err
		}
	}
	session, err := s.Uploads.Create(ctx, c.session.UserID, announced)
	if err != nil {
		return nil, err
	}
	return api.CreateUploadSession201Response{Headers: api.CreateUploadSession201ResponseHeaders{
		Location: new(s.baseURL(c) + tusPath + "/" + session.ID), TusResumable: new(tusVersion), UploadExpires: uploadExpires(session),
	}}, nil
}

func (s *server) GetUploadSession(ctx context.Context, request api.GetUploadSessionRequestObject) (api.GetUploadSessionResponseObject, error) {
	c := callFrom(ctx)
	session, err := s.Uploads.Get(ctx, c.session.UserID, request.ID.String())
	if err != nil {
		return nil, err
	}
	answer := uploadSessionFromSession(session)
	if session.ImageID != "" {
		stored, err := s.Images.Get(ctx, c.session.UserID, session.ImageID)
		switch {
		case err == nil:
			answer.Image = new(s.storedImageFromImage(c, stored))
		case !apperr.Is(err, apperr.ImageNotFound): // it was deleted since then
			return nil, err
		}
	}
	return api.GetUploadSession200JSONResponse{Data: api.UploadSessionData{Msg: answer}}, nil
}

func (s *server) HeadUploadSession(ctx context.Context, request api.HeadUploadSessionRequestObject) (api.HeadUploadSessionResponseObject, error) {
	session, err := s.Uploads.Get(ctx, callFrom(ctx).session.UserID, request.ID.String())
	if err != nil {
		return nil, err
	}
	return api.HeadUploadSession200Response{Headers: api.HeadUploadSession200ResponseHeaders{
		CacheControl: new("no-store"), TusResumable: new(tusVersion),
		UploadOffset: &session.Received, UploadLength: &session.Bytes, UploadExpires: uploadExpires(session),
	}}, nil
}

func (s *server) ContinueUpload(ctx context.Context, request api.ContinueUploadRequestObject) (api.ContinueUploadResponseObject, error) {
	var checksum *upload.Checksum
	if header := request.Params.UploadChecksum; header != nil {
		var err error
		if checksum, err = readChecksum(*header); err != nil {
			return nil, err
		}
	}
	c := callFrom(ctx)
	session, err := s.Uploads.Append(ctx, c.session.UserID, request.ID.String(), request.Params.UploadOffset, checksum, c.upload)
	if err != nil {
		return nil, err
	}
	headers := api.ContinueUpload204ResponseHeaders{
		TusResumable: new(tusVersion), UploadOffset: &session.Received, UploadExpires: uploadExpires(session),
	}
	if session.ImageID != "" {
		headers.ContentLocation = new("/upload/images/" + session.ImageID)
	}
	return api.ContinueUpload204Response{Headers: headers}, nil
}

func (s *server) CancelUpload(ctx context.Context, request api.CancelUploadRequestObject) (api.CancelUploadResponseObject, error) {
	if err := s.Uploads.Cancel(ctx, callFrom(ctx).session.UserID, request.ID.String()); err != nil {
		return nil, err
	}
	return api.CancelUpload204Response{Headers: api.CancelUpload204ResponseHeaders{TusResumable: new(tusVersion)}}, nil
}

func uploadSessionFromSession(session upload.Session) api.UploadSession {
	return api.UploadSession{
		ID: uuid.MustParse(session.ID), Bytes: session.Bytes, Received: session.Received, ExpiresAt: session.ExpiresAt,
	}
}

func uploadExpires(session upload.Session) *string {
	return new(session.ExpiresAt.UTC().Format(http.TimeFormat))
}

// readChecksum reads Upload-Checksum, whose form the contract has checked. It returns InvalidInput.
func readChecksum(header string) (*upload.Checksum, error) {
	algorithm, encoded, _ := strings.Cut(header, " ")
	sum, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errBadChecksum
	}
	checksum, err := upload.NewChecksum(algorithm, sum)
	if err != nil {
		return nil, errBadChecksum
	}
	return checksum, nil
}

var errBadChecksum = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field:  "Upload-Checksum",
	Reason: apperr.Text{Chinese: "应为 sha1 或 sha256 及其 Base64 值", English: "should be sha1 or sha256, and the sum in base64"},
})

// readMetadata reads what we know of Upload-Metadata. It returns InvalidInput.
func readMetadata(header string, announced *upload.Announcement) error {
	values, ok := metadataOf(header)
	title, visibility := values["title"], values["visibility"]
	if !ok || utf8.RuneCountInString(title) > maxTitle || visibility != "" && !api.Visibility(visibility).Valid() {
		return errBadMetadata
	}
	announced.Name, announced.Title, announced.Visibility = values["filename"], title, image.Visibility(visibility)
	return nil
}

// maxTitle is in characters, as the contract has it for titles in JSON.
const maxTitle = 200

// metadataOf reads names and values in base64, with commas between. A value may be missing.
func metadataOf(header string) (values map[string]string, ok bool) {
	values = map[string]string{}
	for pair := range strings.SplitSeq(header, ",") {
		name, encoded, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.DecodeString(encoded)
		if _, twice := values[name]; twice || name == "" || err != nil || !utf8.Valid(value) {
			return nil, false
		}
		values[name] = string(value)
	}
	return values, true
}

var errBadMetadata = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "Upload-Metadata",
	Reason: apperr.Text{
		Chinese: "应为互不相同的名称及其 UTF-8 值的 Base64，以逗号分隔；title 最多 200 个字符，visibility 为 public 或 private",
		English: "should be different names and their values, UTF-8 in base64, with commas between; a title has at most 200 characters, a visibility is public or private",
	},
})
