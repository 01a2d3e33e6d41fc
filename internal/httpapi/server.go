package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
)

func (s *server) GetContractYaml(context.Context, api.GetContractYamlRequestObject) (api.GetContractYamlResponseObject, error) {
	return api.GetContractYaml200ApplicationYamlResponse{
		Body: bytes.NewReader(s.Contract), ContentLength: int64(len(s.Contract)),
	}, nil
}

func (s *server) GetContractJSON(context.Context, api.GetContractJSONRequestObject) (api.GetContractJSONResponseObject, error) {
	return contractJSON(s.contract.json), nil
}

// contractJSON is the document as it was embedded, not decoded and encoded again.
type contractJSON []byte

func (c contractJSON) VisitGetContractJSONResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(c)
	return err
}

func (s *server) GetHealth(context.Context, api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	return api.GetHealth200JSONResponse(done()), nil
}

func (s *server) GetReadiness(ctx context.Context, _ api.GetReadinessRequestObject) (api.GetReadinessResponseObject, error) {
	redis, err := s.Ready(ctx)
	if err != nil {
		return nil, apperr.Later(apperr.ServerBusy, time.Second, err)
	}
	return api.GetReadiness200JSONResponse{Data: api.ReadinessData{
		Msg: api.Readiness{Database: api.ReadinessDatabaseOk, Redis: api.ReadinessRedis(redis)},
	}}, nil
}
