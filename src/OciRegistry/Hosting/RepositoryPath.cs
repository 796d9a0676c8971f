using Microsoft.AspNetCore.Http.Metadata;
using OciRegistry.Endpoints;

namespace OciRegistry.Hosting;

/// <summary>The kinds of paths below <c>/v2/</c>.</summary>
/// <param name="Template">As it shows in metrics and traces.</param>
/// <param name="InvalidArgument">What to answer when the last segment is not what it should be.</param>
internal sealed record RepositoryRoute(string Template, Func<string, RegistryAction, OciError> InvalidArgument) : IRouteDiagnosticsMetadata
{
    private RepositoryRoute(string template)
        : this(template, (_, _) => OciError.NotFound())
    {
    }

    public static readonly RepositoryRoute TagList = new("/v2/{name}/tags/list");
    public static readonly RepositoryRoute Uploads = new("/v2/{name}/blobs/uploads/");
    public static readonly RepositoryRoute Upload = new("/v2/{name}/blobs/uploads/{session}", (_, _) => OciError.BlobUploadUnknown());
    public static readonly RepositoryRoute Blob = new("/v2/{name}/blobs/{digest}", (text, _) => OciError.DigestInvalidInPath(text));
    public static readonly RepositoryRoute Manifest = new("/v2/{name}/manifests/{reference}", InvalidReference);
    public static readonly RepositoryRoute Referrers = new("/v2/{name}/referrers/{digest}", (text, _) => OciError.DigestInvalidInPath(text));
    public static readonly RepositoryRoute Catalog = new("/v2/_catalog");
    public static readonly RepositoryRoute Version = new("/v2/");

    // A manifest cannot have that name: whoever asks for one is told that there is none, as by every registry.
    private static OciError InvalidReference(string text, RegistryAction action) =>
        action == RegistryAction.Push || text.Contains(':', StringComparison.Ordinal)
            ? OciError.ReferenceInvalid(text)
            : OciError.ManifestUnknown(text);

    // The framework's own metrics and traces: to them the route would be the catch-all.
    string IRouteDiagnosticsMetadata.Route => Template;
}

/// <summary>
/// A path below <c>/v2/</c>, taken apart. Repository names contain slashes, which no route template can have in its
/// middle, and may end in words of ours: so a path is matched from the right, most literal segments first.
/// </summary>
internal sealed record RepositoryPath(RepositoryRoute Route, string Name, string Argument)
{
    private const string Prefix = "/v2/";

    /// <summary>Null when the path is none of ours.</summary>
    public static RepositoryPath? Parse(ReadOnlySpan<char> path)
    {
        if (path is "/v2" or Prefix)
        {
            return new RepositoryPath(RepositoryRoute.Version, "", "");
        }

        if (!path.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return null;
        }

        var rest = path[Prefix.Length..];
        if (rest is "_catalog")
        {
            return new RepositoryPath(RepositoryRoute.Catalog, "", "");
        }

        if (TrySplit(rest, "/tags/list", out var name))
        {
            return new RepositoryPath(RepositoryRoute.TagList, name.ToString(), "");
        }

        // spec end-4a has the slash at the end; some clients leave it out.
        if (TrySplit(rest, "/blobs/uploads/", out name) || TrySplit(rest, "/blobs/uploads", out name))
        {
            return new RepositoryPath(RepositoryRoute.Uploads, name.ToString(), "");
        }

        var slash = rest.LastIndexOf('/');
        if (slash < 0)
        {
            return null;
        }

        var head = rest[..slash];
        var argument = rest[(slash + 1)..];
        var route = TrySplit(head, "/blobs/uploads", out name) ? RepositoryRoute.Upload
            : TrySplit(head, "/blobs", out name) ? RepositoryRoute.Blob
            : TrySplit(head, "/manifests", out name) ? RepositoryRoute.Manifest
            : TrySplit(head, "/referrers", out name) ? RepositoryRoute.Referrers
            : null;
        return route is null ? null : new RepositoryPath(route, name.ToString(), argument.ToString());
    }

    private static bool TrySplit(ReadOnlySpan<char> path, string ending, out ReadOnlySpan<char> name)
    {
        var matches = path.EndsWith(ending, StringComparison.Ordinal);
        name = matches ? path[..^ending.Length] : default;
        return matches;
    }
}
