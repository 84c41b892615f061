//! One declaration for each section of the configuration: the typed section, and beside it the same keys as optional
//! overrides, which a file (serde) and the flags with their environment variables (clap) both fill. So a key, its
//! default, its flag, its variable and its help cannot drift apart.

/// Declares a section and its overrides.
///
/// `name: Type = default, "flag", "VARIABLE";` — a default may use the fields above it.
macro_rules! section {
    (
        $(#[$section_attr:meta])*
        $section:ident, $overrides:ident, $table:literal {
            $(
                #[doc = $doc:literal]
                $(#[serde($($serde:tt)*)])?
                $(#[arg($($arg:tt)*)])?
                $field:ident: $type:ty = $default:expr, $flag:literal, $variable:literal;
            )*
        }
    ) => {
        $(#[$section_attr])*
        #[derive(Clone, PartialEq, Eq, serde::Serialize)]
        pub struct $section {
            $(
                #[doc = $doc]
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )*
        }

        #[doc = concat!("The keys of `[", $table, "]` that one source sets.")]
        #[derive(Clone, Default, serde::Deserialize, clap::Args)]
        #[serde(deny_unknown_fields, default)]
        pub struct $overrides {
            $(
                #[doc = $doc]
                #[arg(
                    id = concat!($table, ".", stringify!($field)),
                    long = $flag,
                    env = $variable,
                    hide_env_values = true,
                    help_heading = concat!("[", $table, "]"),
                    $($($arg)*)?
                )]
                pub $field: Option<$type>,
            )*
        }

        impl $overrides {
            /// These, and `lower` where these set nothing.
            pub(super) fn over(self, lower: Self) -> Self {
                Self { $($field: self.$field.or(lower.$field),)* }
            }

            /// Defaults for what is not set. Nothing is validated yet.
            pub(super) fn resolve(self) -> $section {
                $(let $field = self.$field.unwrap_or_else(|| $default);)*
                $section { $($field,)* }
            }
        }
    };
}

pub(super) use section;
