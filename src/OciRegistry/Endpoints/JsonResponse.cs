using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>
/// JSON with an exact Content-Type and a Content-Length: Results.Json sends it chunked and adds a charset, and clients
/// compare media types as strings.
/// </summary>
internal static class JsonResponse
{
    public static async Task WriteJsonAsync(
        this HttpContext context, int status, string contentType, Action<Utf8JsonWriter> write)
    {
        var body = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(body))
        {
            write(json);
        }

        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = contentType;
        response.ContentLength = body.WrittenCount;
        if (!HttpMethods.IsHead(context.Request.Method))
        {
            await response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
        }
    }
}
