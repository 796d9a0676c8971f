using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Win32.SafeHandles;
using OciRegistry.Storage;

namespace OciRegistry.Endpoints;

/// <summary>
/// Writes content as a response body: a large file by sendfile(2) where the connection can do that, for about half of
/// the CPU time; else read straight into the response's own buffers, as cheap as a server in C that reads and writes.
/// SendFileAsync copies in small steps.
/// </summary>
internal static class BlobBody
{
    // How much one call to the system may send.
    private const int FilePart = 1024 * 1024;

    // Less goes out with the response's head, in one call to the system.
    private const int LeastFileSent = 128 * 1024;

    public static async Task WriteWholeAsync(HttpContext context, IBlobContent content, RegistryMetrics metrics)
    {
        context.Response.ContentLength = content.Length;
        await CopyAsync(context, content, 0, content.Length, metrics);
    }

    public static async Task WriteRangeAsync(
        HttpContext context, IBlobContent content, ByteRange range, RegistryMetrics metrics)
    {
        var response = context.Response;
        response.StatusCode = StatusCodes.Status206PartialContent;
        response.Headers.ContentRange = ContentRangeOf(range, content.Length);
        response.ContentLength = range.Length;
        await CopyAsync(context, content, range.First, range.Length, metrics);
    }

    /// <summary>Several ranges as multipart/byteranges (RFC 9110 §14.6): lazy pullers of layers ask for them.</summary>
    public static async Task WriteRangesAsync(
        HttpContext context, IBlobContent content, IReadOnlyList<ByteRange> ranges, RegistryMetrics metrics)
    {
        var boundary = Guid.NewGuid().ToString("n");
        var heads = ranges.Select(range => Encoding.ASCII.GetBytes(
            $"\r\n--{boundary}\r\nContent-Type: {MediaTypes.OctetStream}\r\n"
            + $"Content-Range: {ContentRangeOf(range, content.Length)}\r\n\r\n")).ToArray();
        var end = Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n");

        var response = context.Response;
        response.StatusCode = StatusCodes.Status206PartialContent;
        response.ContentType = $"multipart/byteranges; boundary={boundary}";
        response.ContentLength = heads.Sum(head => (long)head.Length) + ranges.Sum(range => range.Length) + end.Length;
        for (var i = 0; i < ranges.Count; i++)
        {
            await response.BodyWriter.WriteAsync(heads[i], context.RequestAborted);
            await CopyAsync(context, content, ranges[i].First, ranges[i].Length, metrics);
        }

        await response.BodyWriter.WriteAsync(end, context.RequestAborted);
    }

    private static async Task CopyAsync(
        HttpContext context, IBlobContent content, long offset, long length, RegistryMetrics metrics)
    {
        LiftRate(context);
        if (content.File is { } file && length >= LeastFileSent && context.Features.Get<IFileOutput>() is { } output)
        {
            var sent = await SendFileAsync(context, output, file, offset, length, metrics);
            (offset, length) = (offset + sent, length - sent);
        }

        var writer = context.Response.BodyWriter;
        while (length > 0)
        {
            var read = await content.ReadAsync(ResponseBlock.Next(context, length), offset, context.RequestAborted);
            if (read == 0)
            {
                throw new StorageException("The content ends before its length.");
            }

            writer.Advance(read);
            (offset, length) = (offset + read, length - read);
            metrics.BytesSent(read);
            ResponseBlock.ThrowIfGone(await writer.FlushAsync(context.RequestAborted));
        }
    }

    /// <summary>
    /// Clients may pause, as with what they send: a disk behind them, a suspended laptop, many layers at once on a busy machine.
    /// By itself Kestrel gives up on one that has taken none of 4 KiB for 17 s.
    /// </summary>
    private static void LiftRate(HttpContext context)
    {
        if (RequestBody.HasConnectionOfItsOwn(context.Request)
            && context.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = RequestBody.PatientRate;
        }
    }

    /// <returns>How many bytes were sent that way: all, or 0 where the connection does not offer it to this response.</returns>
    private static async Task<long> SendFileAsync(
        HttpContext context,
        IFileOutput output,
        SafeFileHandle file,
        long offset,
        long length,
        RegistryMetrics metrics)
    {
        await context.Response.StartAsync(context.RequestAborted);
        var writer = context.Response.BodyWriter;
        var sent = 0L;
        while (sent < length)
        {
            var next = (int)Math.Min(FilePart, length - sent);
            if (!output.TryAppend(context, file, offset + sent, next))
            {
                break;
            }

            var flushed = await writer.FlushAsync(context.RequestAborted);
            if (flushed.IsCompleted && output.Failure is { } failure)
            {
                throw new StorageException("The content could not be sent to its end.", failure);
            }

            ResponseBlock.ThrowIfGone(flushed);
            sent += next;
            metrics.BytesSent(next);

            // A client that takes bytes as fast as we send them must not keep a thread of the pool for its whole download.
            await Task.Yield();
        }

        return sent;
    }

    private static string ContentRangeOf(ByteRange range, long length) =>
        string.Create(CultureInfo.InvariantCulture, $"bytes {range.First}-{range.Last}/{length}");
}
