namespace OciRegistry.Conformance.Areas;

/// <summary>Every area, in the order of a run.</summary>
/// <remarks>
/// Not covered, because a client without control of the server and its surroundings cannot check it:
///
///   TLS and authorization rules (401, 403, who may mount from where)   need accounts and a policy made for the check
///   redirects                                                          a registry may always answer itself
///   ns= and OCI-Namespace, proxying                                    need an upstream that the registry trusts
///   import of fallback-tag indexes                                     needs data from before referrers were turned on
///   garbage collection, expiry of abandoned uploads                    need the server's clock or its settings
///   crash safety, restart persistence, several replicas                need the process to be killed and started
///   429 and Retry-After, Warning                                       cannot be provoked; checked where they come
///   deletes disabled (400 or 405)                                      a setting: the run needs them enabled
///   unchecked (sparse) manifests                                       a setting: either answer is taken as right
///   blake3                                                             the framework cannot compute it
///   very large blobs                                                   a run is to take less than a minute
/// </remarks>
internal static class AllAreas
{
    private static readonly Area[] Spec =
    [
        VersionArea.Area,
        PullArea.Area,
        RangeArea.Area,
        MonolithicPushArea.Area,
        ChunkedPushArea.Area,
        StreamedPushArea.Area,
        UploadStatusAndCancelArea.Area,
        MountArea.Area,
        ManifestPushArea.Area,
        TagParameterArea.Area,
        TagListArea.Area,
        CatalogArea.Area,
        ReferrersArea.Area,
        DeleteArea.Area,
        ConditionalRequestsArea.Area,
        ErrorsArea.Area,
        Sha512Area.Area,
        DockerTypesArea.Area,
        ConcurrencyArea.Area,
    ];

    private static readonly Area[] House = [HouseArea.Area, HouseManifestsArea.Area];

    /// <exception cref="FormatException">An area of --only does not exist: a run of nothing must not pass.</exception>
    public static IReadOnlyList<Area> Selected(Options options)
    {
        Area[] all = [.. Spec, .. options.House ? House : [], EveryAnswerArea.Area];
        if (options.Only.FirstOrDefault(name => !all.Any(area => Is(area, name))) is { } unknown)
        {
            var names = string.Join(", ", all.Select(area => area.Name));
            throw new FormatException($"No area {unknown}; there are {names}.");
        }

        return options.Only is [] ? all : [.. all.Where(area => options.Only.Any(name => Is(area, name)))];
    }

    private static bool Is(Area area, string name) => area.Name.Equals(name, StringComparison.OrdinalIgnoreCase);
}
