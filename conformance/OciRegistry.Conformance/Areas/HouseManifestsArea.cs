using System.Text;

namespace OciRegistry.Conformance.Areas;

/// <summary>
/// What this project's registry refuses as a manifest: documents that two readers may understand in two ways, so that
/// what was scanned or signed is not what is run.
/// </summary>
internal static class HouseManifestsArea
{
    public static Area Area { get; } = new Area("HouseManifests")
        .Must("manifests: 10,000 nested arrays are 400 MANIFEST_INVALID",
            r => Refused(r, good => Nested(good, "[", "", ']')))
        .Must("manifests: 10,000 nested objects are 400 MANIFEST_INVALID",
            r => Refused(r, good => Nested(good, "{\"a\":", "1", '}')))
        .Must("manifests: the same key twice is 400 MANIFEST_INVALID",
            r => Refused(r, good => With(good, "\"layers\":[]")))
        .Must("manifests: the same key twice within a descriptor is 400 MANIFEST_INVALID", r => Refused(r, TwiceInside))
        .Must("manifests: invalid UTF-8 is 400 MANIFEST_INVALID", r => RefusedBytes(r, InvalidUtf8))
        .Must("manifests: a byte order mark is 400 MANIFEST_INVALID",
            r => RefusedBytes(r, good => [0xef, 0xbb, 0xbf, .. good]))
        .Must("manifests: UTF-16 is 400 MANIFEST_INVALID", r => Refused(r, Encoding.Unicode.GetBytes))
        .Must("manifests: trailing garbage is 400 MANIFEST_INVALID", r => Refused(r, good => good + "x"))
        .Must("manifests: a second document is 400 MANIFEST_INVALID", r => Refused(r, good => good + good))
        .Must("manifests: a comment is 400 MANIFEST_INVALID", r => Refused(r, good => "/* */" + good))
        .Must("manifests: a trailing comma is 400 MANIFEST_INVALID", r => Refused(r, good => good[..^1] + ",}"))
        .Must("manifests: layers of an index, or manifests of an image, are 400 MANIFEST_INVALID",
            r => Refused(r, good => With(good, "\"manifests\":[]")))
        .Must("manifests: layers that are no list are 400 MANIFEST_INVALID",
            r => Edited(r, image => image["layers"] = new JsonObject()))
        .Must("manifests: an image without config is 400 MANIFEST_INVALID",
            r => Edited(r, image => image.Remove("config")))
        .Must("manifests: schemaVersion 1 is 400 MANIFEST_INVALID", r => Edited(r, image => image["schemaVersion"] = 1))
        .Must("manifests: a size that is text is 400 MANIFEST_INVALID",
            r => Edited(r, image => image["config"]!["size"] = "64"))
        .Must("manifests: a negative size is 400 MANIFEST_INVALID",
            r => Edited(r, image => image["config"]!["size"] = -1))
        .Must("manifests: a size beyond 64 bits is 400 MANIFEST_INVALID",
            r => Refused(r, good => good.Replace("\"size\":64", "\"size\":1e400", StringComparison.Ordinal)))
        .Must("manifests: a digest that is none is 400 MANIFEST_INVALID",
            r => Edited(r, image => image["config"]!["digest"] = "sha256:../../etc"))
        .Must("manifests: a mediaType other than the Content-Type is 400 MANIFEST_INVALID",
            r => Edited(r, image => image["mediaType"] = MediaTypes.ImageIndex));

    private static Task Edited(Repository repository, Action<JsonObject> edit) =>
        Refused(repository, good =>
        {
            var image = (JsonObject)JsonNode.Parse(good)!;
            edit(image);
            return image.AsText();
        });

    private static Task Refused(Repository repository, Func<string, string> spoil) =>
        Refused(repository, good => Encoding.UTF8.GetBytes(spoil(good)));

    private static Task RefusedBytes(Repository repository, Func<byte[], byte[]> spoil) =>
        Refused(repository, good => spoil(Encoding.UTF8.GetBytes(good)));

    /// <summary>The good document is taken, so that it is the fault alone that the spoilt one is refused for.</summary>
    private static async Task Refused(Repository repository, Func<string, byte[]> spoil)
    {
        var good = (await repository.NewImageAsync()).Annotated("example.note", "good").AsText();
        await repository.PushAsync(Manifest.Of(good, MediaTypes.ImageManifest), "good");
        var spoilt = Manifest.Of(spoil(good), MediaTypes.ImageManifest);
        foreach (var reference in new[] { "spoilt", spoilt.Digest.ToString() })
        {
            (await repository.PutManifest(spoilt, reference).Answers(400)).HasErrorCode("MANIFEST_INVALID");
            await repository.LacksManifestAsync(reference);
        }
    }

    private static string With(string good, string pair) => $"{{{pair},{good[1..]}";

    private static string TwiceInside(string good) =>
        good.Replace("\"config\":{", $"\"config\":{{\"digest\":\"{Digest.Unknown()}\",", StringComparison.Ordinal);

    private static string Nested(string good, string open, string inner, char close) =>
        With(good, $"\"deep\":{string.Concat(Enumerable.Repeat(open, 10_000))}{inner}{new string(close, 10_000)}");

    private static byte[] InvalidUtf8(byte[] good)
    {
        good[good.AsSpan().IndexOf("good"u8)] = 0xff;
        return good;
    }
}
