window.addEventListener("DOMContentLoaded", () => {
  window.ui = SwaggerUIBundle({
    url: "/openapi.yaml", // in the order in which it was written
    dom_id: "#swagger-ui",
    layout: "BaseLayout",
    presets: [SwaggerUIBundle.presets.apis],
    deepLinking: true,
    defaultModelsExpandDepth: 0, // the schemas are one click away
    displayRequestDuration: true,
    persistAuthorization: true,
    showCommonExtensions: true,
    showExtensions: true, // x-error-codes
    tryItOutEnabled: true,
    validatorUrl: null, // nothing leaves this server
  });
});
