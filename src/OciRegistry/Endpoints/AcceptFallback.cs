using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace OciRegistry.Endpoints;

/// <summary>
/// Chooses the manifest of one platform for a client that asks for a tag, and accepts image manifests but no index: distribution does
/// that for Docker's lists. What is asked for by digest is never replaced.
/// </summary>
internal sealed class AcceptFallback(IOptions<OciRegistryOptions> options)
{
    /// <summary>Whether a client accepts no manifest of this type, so that another one may be served in its place.</summary>
    public bool IsWanted(HttpContext context, Reference reference, string mediaType)
    {
        if (options.Value.Manifests.AcceptFallback is null || reference.Tag is null || !MediaTypes.IsIndex(mediaType))
        {
            return false;
        }

        context.Response.Headers.Append(HeaderNames.Vary, HeaderNames.Accept);
        return AcceptedBy(context.Request) is { Count: > 0 } accepted && !Accepts(accepted, mediaType);
    }

    /// <summary>The manifest to serve in place of an index; null when the index has none that the client accepts.</summary>
    public Digest? Find(HttpContext context, ReadOnlyMemory<byte> index)
    {
        var accepted = AcceptedBy(context.Request);
        return Platform.TryParse(options.Value.Manifests.AcceptFallback ?? "", out var platform)
            ? platform.FindIn(index, image => MediaTypes.IsImage(image.MediaType) && Accepts(accepted, image.MediaType))?.Digest
            : null;
    }

    private static IList<MediaTypeHeaderValue> AcceptedBy(HttpRequest request) => request.GetTypedHeaders().Accept;

    private static bool Accepts(IList<MediaTypeHeaderValue> accepted, string mediaType)
    {
        var type = new MediaTypeHeaderValue(mediaType);
        return accepted.Any(range => range.Quality != 0 && type.IsSubsetOf(range));
    }
}
