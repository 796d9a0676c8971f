using System.Runtime.CompilerServices;

// Azure.Storage.Common needs the assembly that this type is in, and no package brings it (Directory.Build.props): a reference
// of our own takes it along into every program that uses this one.
[assembly: TypeForwardedTo(typeof(System.IO.Hashing.Crc64))]
