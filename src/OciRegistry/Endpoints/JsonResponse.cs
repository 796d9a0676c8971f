using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace OciRegistry.Endpoints;

/// <summary>
/// JSON with an exact Content-Type and a Content-Length: Results.Json sends it chunked and adds a charset, and clients
/// compare media types as strings.
/// </summary>
internal static class JsonResponse
{
    private const int WriteSize = 16 * 1024;
    private static readonly byte[] ArrayEnd = "]}"u8.ToArray();

    // People read it in their terminals; browsers are told below not to take it for anything but JSON.
    private static readonly JsonWriterOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static async Task WriteJsonAsync(
        this HttpContext context, int status, string contentType, Action<Utf8JsonWriter> write)
    {
        var body = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(body, Readable))
        {
            write(json);
        }

        if (Start(context, status, contentType, body.WrittenCount))
        {
            await context.Response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
        }
    }

    /// <summary>
    /// An object that ends with a long array whose elements need no work: names that JSON takes as they are, or documents
    /// that are JSON already. Written straight into the response, with a length that is known before the first byte.
    /// </summary>
    /// <param name="context">The request.</param>
    /// <param name="contentType">The exact Content-Type.</param>
    /// <param name="before">All up to the array's bracket, and that; ASCII.</param>
    /// <param name="elements">What to write.</param>
    /// <param name="length">An element's length in bytes.</param>
    /// <param name="write">Writes an element, as many bytes as its length.</param>
    public static async Task WriteJsonArrayAsync<T>(
        this HttpContext context,
        string contentType,
        string before,
        T[] elements,
        Func<T, int> length,
        SpanAction<byte, T> write)
    {
        var total = before.Length + Math.Max(0, elements.Length - 1) + ArrayEnd.Length;
        foreach (var element in elements)
        {
            total += length(element);
        }

        if (!Start(context, StatusCodes.Status200OK, contentType, total))
        {
            return;
        }

        var writer = context.Response.BodyWriter;
        writer.Advance(Encoding.ASCII.GetBytes(before, writer.GetSpan(before.Length)));
        for (var next = 0; next < elements.Length;)
        {
            next = WriteSome(writer, elements, next, length, write);
            ResponseBlock.ThrowIfGone(await writer.FlushAsync(context.RequestAborted));
        }

        await writer.WriteAsync(ArrayEnd, context.RequestAborted);
    }

    /// <summary>Begins an answer of lines, each an object, that the client sees as they are written: 200, at once.</summary>
    public static async Task StartJsonLinesAsync(this HttpContext context)
    {
        var response = context.Response;
        response.ContentType = "application/x-ndjson";
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.CacheControl = "no-store";
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        await response.BodyWriter.FlushAsync(context.RequestAborted);
    }

    /// <summary>One line, of an object with what is written into it.</summary>
    public static async Task WriteJsonLineAsync(this HttpContext context, Action<Utf8JsonWriter> write)
    {
        var line = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(line, Readable))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        line.Write("\n"u8);
        await context.Response.BodyWriter.WriteAsync(line.WrittenMemory, context.RequestAborted);
    }

    private static int WriteSome<T>(
        PipeWriter writer, T[] elements, int next, Func<T, int> length, SpanAction<byte, T> write)
    {
        var span = writer.GetSpan(Math.Max(WriteSize, length(elements[next]) + 1));
        var written = 0;
        for (; next < elements.Length; next++)
        {
            var size = length(elements[next]);
            if (written + size + 1 > span.Length)
            {
                break;
            }

            if (next > 0)
            {
                span[written++] = (byte)',';
            }

            write(span.Slice(written, size), elements[next]);
            written += size;
        }

        writer.Advance(written);
        return next;
    }

    /// <summary>False when the body is not to be written.</summary>
    private static bool Start(HttpContext context, int status, string contentType, int length)
    {
        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = contentType;
        response.Headers.XContentTypeOptions = "nosniff";
        response.ContentLength = length;
        return !HttpMethods.IsHead(context.Request.Method);
    }
}
