using System.Globalization;
using Azure;
using Azure.Storage.Blobs.Models;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// Content that streams from the storage: one request for what is read one after the other, another when reading goes on
/// elsewhere, or where the connection broke.
/// </summary>
internal sealed class AzureBlobContent : IBlobContent
{
    private readonly AzureContainer _container;
    private readonly string _name;
    private readonly ETag _version;
    private Stream? _stream;
    private long _position; // of the stream

    private AzureBlobContent(AzureContainer container, BlobPointer pointer, ETag version)
    {
        _container = container;
        _name = pointer.Data;
        _version = version;
        Length = pointer.Size;
    }

    public long Length { get; }

    /// <summary>The ETag of the blob that is read: every byte is of this version of it.</summary>
    public string Version => _version.ToString();

    /// <summary>
    /// Null when there is nothing, or something of another size, or of another version than <paramref name="version"/>, where
    /// the pointer leads.
    /// </summary>
    public static async ValueTask<AzureBlobContent?> OpenAsync(
        AzureContainer container,
        BlobPointer pointer,
        long offset,
        long length,
        CancellationToken cancellationToken,
        string? version = null)
    {
        length = Math.Min(length, pointer.Size - offset);
        return await container.CallAsync<AzureBlobContent?>(
            async (_, token) =>
            {
                try
                {
                    return length > 0
                        ? await StartAsync(container, pointer, offset, length, version, token)
                        : await LookAsync(container, pointer, version, token);
                }
                catch (RequestFailedException e)
                    when (AzureProblem.IsMissing(e) || AzureProblem.IsRefused(e) || e.ErrorCode == BlobErrorCode.InvalidRange)
                {
                    return null;
                }
            },
            cancellationToken);
    }

    public async ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken)
    {
        if (offset >= Length || buffer.IsEmpty)
        {
            return 0;
        }

        var wanted = buffer[..(int)Math.Min(buffer.Length, Length - offset)];
        return await _container.CallAsync(
            async (_, token) =>
            {
                if (_stream is null || _position != offset)
                {
                    await DisposeAsync();
                    var opened = await DownloadAsync(_container, _name, new HttpRange(offset), _version, token);
                    (_stream, _position) = (opened.Content, offset);
                }

                try
                {
                    var read = await _stream.ReadAsync(wanted, token);
                    _position += read;
                    return read > 0 ? read : throw new IOException("the content ended early");
                }
                catch
                {
                    await DisposeAsync();
                    throw;
                }
            },
            cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_stream is { } stream)
        {
            _stream = null;
            await stream.DisposeAsync();
        }
    }

    private static async Task<AzureBlobContent?> StartAsync(
        AzureContainer container, BlobPointer pointer, long offset, long length, string? version, CancellationToken cancellationToken)
    {
        var range = offset == 0 && length == pointer.Size ? default : new HttpRange(offset, length);
        var opened = await DownloadAsync(container, pointer.Data, range, version is null ? null : new ETag(version), cancellationToken);
        if (SizeOf(opened.Details) == pointer.Size)
        {
            return new AzureBlobContent(container, pointer, opened.Details.ETag) { _stream = opened.Content, _position = offset };
        }

        await opened.Content.DisposeAsync();
        return null;
    }

    private static async Task<AzureBlobContent?> LookAsync(
        AzureContainer container, BlobPointer pointer, string? version, CancellationToken cancellationToken)
    {
        BlobProperties found = await container.Blob(pointer.Data).GetPropertiesAsync(cancellationToken: cancellationToken);
        return found.ContentLength == pointer.Size && (version is null || found.ETag.ToString() == version)
            ? new AzureBlobContent(container, pointer, found.ETag)
            : null;
    }

    private static async Task<BlobDownloadStreamingResult> DownloadAsync(
        AzureContainer container, string name, HttpRange range, ETag? version, CancellationToken cancellationToken) =>
        await container.Blob(name).DownloadStreamingAsync(
            new BlobDownloadOptions
            {
                Range = range,
                Conditions = version is null ? null : new BlobRequestConditions { IfMatch = version },
            },
            cancellationToken);

    /// <summary>Of the whole blob, from <c>bytes 0-9/100</c> or the length of an answer that is whole.</summary>
    private static long SizeOf(BlobDownloadDetails details) =>
        details.ContentRange is { Length: > 0 } range
            ? long.Parse(range.AsSpan(range.IndexOf('/', StringComparison.Ordinal) + 1), CultureInfo.InvariantCulture)
            : details.ContentLength;
}
